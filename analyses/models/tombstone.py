"""What was erased, so that a restored backup can be made to forget it again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    import uuid


class Tombstone(models.Model):
    """One erased record: a hash of its random id, and when. Nothing of a person is in it."""

    class Kind(models.TextChoices):
        ACCOUNT = "account", "An account with everything in it"
        ANALYSIS = "analysis", "One analysis"
        LESION = "lesion", "One lesion with its analyses"

    kind = models.CharField(max_length=12, choices=Kind.choices)
    digest = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "digest"], name="tombstone_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.digest[:8]}"

    @staticmethod
    def digest_of(record_id: uuid.UUID) -> str:
        """Return the SHA-256 (hex) of an id, whose 122 random bits cannot be guessed."""
        return hashlib.sha256(record_id.bytes).hexdigest()
