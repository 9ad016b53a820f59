"""A Django application with people of several kinds, for tests inside a process: a custom user, a proxy, models that inherit.

In: nothing. Out: models.
Never: a migration; tests make the tables.
"""

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models


class Person(AbstractBaseUser):
    """A user of a project's own."""

    name = models.CharField(max_length=40, unique=True)
    USERNAME_FIELD = "name"
    objects = BaseUserManager["Person"]()


class Guest(Person):
    """The same table by another name."""

    class Meta:
        """A proxy."""

        proxy = True


class Host(Person):
    """A user with a table of its own beside the user's."""

    city = models.CharField(max_length=40, default="")


class Ticket(models.Model):
    """No user at all."""

    key = models.UUIDField(default=uuid.uuid4)
