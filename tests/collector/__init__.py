"""The HTTP collector, in a process of its own, on the real broker."""
