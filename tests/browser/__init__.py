"""The browser snippet in a real browser, before a real collector."""
