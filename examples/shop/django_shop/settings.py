"""Settings; the addresses come from the environment."""

import os

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "an example's: sessions of a demonstration")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "examples.shop.django_shop.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3", "NAME": f"{os.environ['SHOP_FOLDER']}/django.sqlite",
        "OPTIONS": {"timeout": 10},
    }
}  # fmt: skip
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "footlights.integrations.django",
    "examples.shop.django_shop.orders",
]  # fmt: skip
MIDDLEWARE = [
    "footlights.integrations.django.middleware.FootlightsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ANALYTICS_BOOTSTRAP_SERVERS = os.environ["SHOP_KAFKA"]
ANALYTICS_SCHEMA_REGISTRY = os.environ["SHOP_SCHEMA_REGISTRY"]
ANALYTICS_SOURCE = "shop-django"
ANALYTICS_SPOOL_DIR = f"{os.environ['SHOP_FOLDER']}/spool-django"
