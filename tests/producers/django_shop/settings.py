"""Settings of the project."""

import os

SECRET_KEY = "not a secret: a test's"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.producers.django_shop.urls"
STATIC_URL = "/static/"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{os.environ['FOLDER']}/shop.sqlite"}}
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages", "footlights.integrations.django",
]  # fmt: skip
MIDDLEWARE = [
    "footlights.integrations.django.middleware.FootlightsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "tests.producers.django_shop.urls.stumble",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]  # fmt: skip
ANALYTICS_BOOTSTRAP_SERVERS = os.environ["KAFKA"]
ANALYTICS_SCHEMA_REGISTRY = os.environ["REGISTRY"]
ANALYTICS_SOURCE = os.environ.get("SOURCE", "django-shop")
ANALYTICS_PSEUDONYM_KEY = "k" * 32
ANALYTICS_SPOOL_DIR = f"{os.environ['FOLDER']}/spool"
ANALYTICS_SKIP_PATHS = ("/internal",)
if misspelt := os.environ.get("MISSPELT"):
    globals()[misspelt] = "x"
