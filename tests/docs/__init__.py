"""Documentation is tested like code."""
