"""Other vendors' clients, unmodified, before a real collector."""
