"""Users with an e-mail address as their name, their consents, their API tokens."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.audit.models import AuditCheckpoint, AuditEvent, AuditHead
from accounts.care.models import CareRelationship, InvitationCode
from accounts.post.models import Letter
from accounts.recovery.models import SecondFactorReset

__all__ = [
    "ApiToken",
    "AuditCheckpoint",
    "AuditEvent",
    "AuditHead",
    "CareRelationship",
    "Consent",
    "InvitationCode",
    "Letter",
    "Role",
    "SecondFactorReset",
    "User",
]


class Role(models.TextChoices):
    """What a person may do. Exactly one role a person."""

    PATIENT = "patient", _("Patient")
    DERMATOLOGIST = "dermatologist", _("Dermatologist")
    ADMIN = "admin", _("Administrator")


class UserManager(BaseUserManager["User"]):
    """Creates users; addresses compare without case."""

    use_in_migrations = True

    def create_user(
        self, email: str, password: str | None = None, *, role: str = Role.PATIENT, **extra: Any
    ) -> User:
        """Create and save a user of `role`."""
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=email.strip().lower(), role=role, **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> User:
        """Create an administrator (`manage.py createsuperuser`), with the trace that one leaves.

        The address counts as verified: whoever runs this place vouches for it.
        """
        from accounts.people import create_account

        name = str(extra.get("name") or "")
        return create_account(email=email, password=password, role=Role.ADMIN, name=name, by=None)

    def get_by_natural_key(self, email: str | None) -> User:
        """Find by address, without case."""
        return self.get(email__iexact=email)


class User(AbstractBaseUser, PermissionsMixin):
    """A person with an account. The e-mail address is the name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(_("e-mail address"))
    name = models.CharField(_("name"), max_length=120, blank=True)
    role = models.CharField(_("role"), max_length=20, choices=Role.choices, default=Role.PATIENT)
    language = models.CharField(_("language"), max_length=8, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    # When the first second factor was set up; None without one. Follows the authenticators.
    second_factor_since = models.DateTimeField(null=True, editable=False)
    # When the person ended the hospital's sign-in: until it is allowed again, it opens nothing.
    hospital_ended_at = models.DateTimeField(null=True, editable=False)
    date_joined = models.DateTimeField(_("joined"), default=timezone.now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique"),
            models.CheckConstraint(
                condition=models.Q(role__in=Role.values), name="user_role_known"
            ),
        ]

    def __str__(self) -> str:
        return self.email

    def save(self, **how: Any) -> None:
        """Save; an account that was erased meanwhile does not come back: `DatabaseError`."""
        if not self._state.adding and not how.get("update_fields"):
            how["force_update"] = True
        super().save(**how)

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        """Bind sessions to the second factor as well as to the password.

        One that was opened with the password alone ends when a second factor is set up elsewhere.
        """
        since = self.second_factor_since.isoformat() if self.second_factor_since else ""
        return salted_hmac(
            "accounts.User.session", f"{self.password}|{since}", secret=secret, algorithm="sha256"
        ).hexdigest()

    @property
    def is_staff(self) -> bool:
        """Whether the Django admin opens: administrators only, derived, so never assignable."""
        return self.role == Role.ADMIN

    @property
    def is_patient(self) -> bool:
        return self.role == Role.PATIENT

    @property
    def is_dermatologist(self) -> bool:
        return self.role == Role.DERMATOLOGIST

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN


class Consent(models.Model):
    """A consent as it was given: what for, in which words, when."""

    class Kind(models.TextChoices):
        HEALTH_DATA = "health_data", _("Processing of health data")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="consents")
    kind = models.CharField(max_length=32, choices=Kind.choices)
    wording_version = models.CharField(max_length=32)
    given_at = models.DateTimeField(default=timezone.now)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-given_at"]

    def __str__(self) -> str:
        return f"{self.kind} {self.wording_version}"


class ApiToken(models.Model):
    """A bearer token of the API. Only its SHA-256 is stored: what it hashes has 256 random bits."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"token of {self.user_id}"
