"""The rows of the trail. The database refuses to change or delete them (see the migration)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class Action(models.TextChoices):
    """What can stand in the trail. No action carries clinical content."""

    SIGNED_IN = "signed_in", _("Signed in")
    SIGN_IN_FAILED = "sign_in_failed", _("Sign-in failed")
    SIGNED_OUT = "signed_out", _("Signed out")
    PASSWORD_CHANGED = "password_changed", _("Password changed")
    TOKEN_CREATED = "token_created", _("API token created")
    TOKEN_REVOKED = "token_revoked", _("API token revoked")
    MFA_CHANGED = "mfa_changed", _("Second factor changed")
    SIGN_IN_LINKED = "sign_in_linked", _("Sign-in of the hospital linked")
    SIGN_IN_UNLINKED = "sign_in_unlinked", _("Sign-in of the hospital ended")
    SIGN_IN_ALLOWED = "sign_in_allowed", _("Sign-in of the hospital allowed again")
    ACCOUNT_CREATED = "account_created", _("Account created")
    ACCOUNT_DISABLED = "account_disabled", _("Account disabled")
    ACCOUNT_ENABLED = "account_enabled", _("Account enabled")
    ROLE_CHANGED = "role_changed", _("Role changed")
    PROFILE_CHANGED = "profile_changed", _("Profile changed")
    CONSENT_GIVEN = "consent_given", _("Consent given")
    CONSENT_WITHDRAWN = "consent_withdrawn", _("Consent withdrawn")
    SHARED = "shared", _("Record shared")
    UNSHARED = "unshared", _("Sharing ended")
    UPLOADED = "uploaded", _("Photo uploaded")
    READ = "read", _("Record opened")
    IMAGE_READ = "image_read", _("Photo opened")
    LISTED = "listed", _("Records listed")
    EXPORTED = "exported", _("Records exported")
    REVIEWED = "reviewed", _("Review written")
    REVIEW_AMENDED = "review_amended", _("Review amended")
    DENIED = "denied", _("Access denied")
    DELETED = "deleted", _("Record deleted")
    ERASED = "erased", _("Account erased")


class AuditEvent(models.Model):
    """One act. People and things stand as ids, so that erasing an account leaves the trail whole.

    `hash` is the SHA-256 of the row and of the hash before it: changing, removing or inserting a
    row breaks every later one.
    """

    id = models.PositiveBigIntegerField(primary_key=True)
    at = models.DateTimeField()
    action = models.CharField(max_length=24, choices=Action.choices)
    actor_id = models.UUIDField(null=True)
    actor_role = models.CharField(max_length=20, blank=True, default="")
    subject_id = models.UUIDField(null=True)
    object_type = models.CharField(max_length=40, blank=True, default="")
    object_id = models.CharField(max_length=64, blank=True, default="")
    details = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(fields=["subject_id", "id"], name="audit_by_subject"),
            models.Index(fields=["actor_id", "id"], name="audit_by_actor"),
            models.Index(fields=["action", "id"], name="audit_by_action"),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.action}"


class AuditHead(models.Model):
    """The end of the chain: one row, locked while the next event is written."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    last_id = models.PositiveBigIntegerField(default=0)
    last_hash = models.CharField(max_length=64)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(id=1), name="audit_head_is_one_row")
        ]

    def __str__(self) -> str:
        return f"audit head at {self.last_id}"


class AuditCheckpoint(models.Model):
    """A signed statement that the chain had `hash` at `event_id`.

    Who can write to the database but does not hold the key cannot make one, so a chain that was
    rewritten as a whole is found out. One with `cut` lets retention delete what is older.
    """

    event_id = models.PositiveBigIntegerField()
    hash = models.CharField(max_length=64)
    at = models.DateTimeField()
    cut = models.BooleanField(default=False)
    signature = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"checkpoint at {self.event_id}"
