"""The project for ASGI servers."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.producers.django_shop.settings")
application = get_asgi_application()
