"""A small ticket shop, once in FastAPI and once in Django, instrumented as the guides say."""
