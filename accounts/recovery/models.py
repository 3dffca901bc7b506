"""A request to remove the second factor of an account."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

LIFETIME: Final = timedelta(hours=24)


class ResetQuerySet(models.QuerySet["SecondFactorReset"]):
    """Requests."""

    def open(self) -> ResetQuerySet:
        """Those that may still be confirmed: who asked is an administrator to this day."""
        return self.filter(
            done_at=None,
            asked_at__gt=timezone.now() - LIFETIME,
            asked_by__role="admin",
            asked_by__is_active=True,
        )


class SecondFactorReset(models.Model):
    """One administrator's request. Another one confirms it, or the person whose account it is."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    asked_at = models.DateTimeField(default=timezone.now, editable=False)
    done_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    done_at = models.DateTimeField(null=True)

    objects = ResetQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["asked_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~Q(asked_by=F("user")), name="reset_is_asked_for_another"
            ),
            models.CheckConstraint(
                condition=Q(done_by=None) | ~Q(done_by=F("asked_by")), name="reset_takes_two"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)
