"""Events out again."""
