"""A patient's consent that one dermatologist sees the record."""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from accounts.models import User

# No 0/O, 1/I/L: a code is read aloud and typed on a phone.
_CODE_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 10


def new_code() -> str:
    """Return a code with about 49 random bits; guessing is throttled besides."""
    return "".join(secrets.choice(_CODE_ALPHABET) for _n in range(CODE_LENGTH))


class InvitationCode(models.Model):
    """What a dermatologist hands to patients so that they can share. Renewing it ends the old."""

    dermatologist = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="invitation_code"
    )
    code = models.CharField(max_length=CODE_LENGTH, unique=True, default=new_code)
    renewed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.code

    @property
    def spelled(self) -> str:
        """The code in two halves, as it is read aloud."""
        half = CODE_LENGTH // 2
        return f"{self.code[:half]}-{self.code[half:]}"


class CareRelationshipQuerySet(models.QuerySet["CareRelationship"]):
    """Relationships, and which of them are in force."""

    def active(self) -> CareRelationshipQuerySet:
        """Not revoked, between two open accounts, with somebody who still is a dermatologist."""
        return self.filter(
            revoked_at__isnull=True,
            patient__is_active=True,
            dermatologist__is_active=True,
            dermatologist__role="dermatologist",
        )

    def granting(self, dermatologist: User) -> CareRelationshipQuerySet:
        """Those that let `dermatologist` see a record now."""
        return self.active().filter(dermatologist=dermatologist)


class CareRelationship(models.Model):
    """One consent: whose record, who may see it, how much of it, in which words, since when."""

    class Scope(models.TextChoices):
        EVERYTHING = "everything", _("My whole record")
        FROM_NOW_ON = "from_now_on", _("Only what I add from now on")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="shares"
    )
    dermatologist = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="patients"
    )
    scope = models.CharField(max_length=16, choices=Scope.choices, default=Scope.EVERYTHING)
    wording_version = models.CharField(max_length=32)
    consented_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = CareRelationshipQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-consented_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["patient", "dermatologist"],
                condition=Q(revoked_at__isnull=True),
                name="care_one_active_per_pair",
            ),
            models.CheckConstraint(
                condition=~Q(patient=F("dermatologist")), name="care_is_between_two_people"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)
