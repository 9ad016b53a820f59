"""Speed, measured as ratios of cases in one run; never asserted in a test."""
