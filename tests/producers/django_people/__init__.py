"""A small Django project that tests run inside their process."""
