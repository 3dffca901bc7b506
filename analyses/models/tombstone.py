"""What was erased or ended, so that a restored backup can be made to forget it again."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    import uuid


class Tombstone(models.Model):
    """One record that was erased, or permission that ended: a hash of its random id, and when.

    Nothing of a person is in it.
    """

    class Kind(models.TextChoices):
        ACCOUNT = "account", "An account with everything in it"
        ANALYSIS = "analysis", "One analysis"
        LESION = "lesion", "One lesion; its analyses have their own"
        SHARING = "sharing", "One sharing that has ended"
        CONSENT = "consent", "One consent that was withdrawn"

    kind = models.CharField(max_length=12, choices=Kind.choices)
    digest = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now)
    # When it was written to a file of tombstones, of whichever host; None while it is in none.
    filed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "digest"], name="tombstone_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.digest[:8]}"

    @staticmethod
    def digest_of(record_id: uuid.UUID, given_at: datetime | None = None) -> str:
        """Return the SHA-256 (hex) of an id, whose 122 random bits cannot be guessed.

        A consent is named by its person's id and when it was given: its own id is a mere number.
        """
        moment = given_at.astimezone(UTC).isoformat(timespec="microseconds") if given_at else ""
        return hashlib.sha256(record_id.bytes + moment.encode("ascii")).hexdigest()
