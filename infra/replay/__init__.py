"""Real input: access logs, Segment-style JSON lines and CSV files, read line by line and published through the SDK."""
