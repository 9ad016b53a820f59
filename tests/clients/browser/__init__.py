"""Browser clients of other vendors in a real Chromium."""
