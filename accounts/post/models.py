"""An e-mail that waits to be sent."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class Letter(models.Model):
    """One e-mail to one address, encrypted: it may carry a link that opens an account.

    The row ends with the sending. `user` is whose it is, where that is known: with the account its
    letters go too.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    sealed = models.TextField()
    written_at = models.DateTimeField(default=timezone.now, editable=False)
    claimed_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"letter {self.pk}"
