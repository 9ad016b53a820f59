"""Every published figure, recomputed from the raw events and compared to the bit."""
