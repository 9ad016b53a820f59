"""The shop in Django: `gunicorn examples.shop.django_shop.wsgi`, after `django-admin migrate --run-syncdb`."""
