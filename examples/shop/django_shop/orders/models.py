"""What the shop keeps."""

from django.db import models


class Order(models.Model):
    """Tickets of one concert that were paid for."""

    id: "models.CharField[str, str]" = models.CharField(primary_key=True, max_length=32)
    event_id: "models.CharField[str, str]" = models.CharField(max_length=8)
    quantity: "models.IntegerField[int, int]" = models.IntegerField()
    refunded: "models.BooleanField[bool, bool]" = models.BooleanField(default=False)
