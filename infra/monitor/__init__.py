"""Watches the whole pipeline from outside its processes."""
