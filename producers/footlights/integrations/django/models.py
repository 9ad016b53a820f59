"""What the admin's index lists: the state of analytics, which is in no table.

In: nothing. Out: a model without a table, so that the page has its place and its permission.
Never: a migration.
"""

from django.db import models


class Status(models.Model):
    """The state of analytics in the process that is asked."""

    class Meta:
        """No table; one permission, to see it."""

        app_label = "footlights_analytics"
        managed = False
        default_permissions = ("view",)
        verbose_name = verbose_name_plural = "status"
