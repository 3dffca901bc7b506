"""Make accounts and change what they may do. Each leaves its trace in the trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allauth.account.models import EmailAddress
from django.db import transaction
from django.utils import timezone

from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import ApiToken, Role, User

if TYPE_CHECKING:
    from django.http import HttpRequest


class LastAdminError(Exception):
    """The change would leave no active administrator. Make another person administrator first."""


def create_account(
    *, email: str, role: Role, by: User | None, name: str = "", password: str | None = None
) -> User:
    """Create an account whose address counts as verified, as somebody vouches for it.

    Without `password` nobody can sign in before a reset. `by` is None for the first accounts of
    an installation.
    """
    with transaction.atomic():
        user = User.objects.create_user(email, password, role=role, name=name)
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
        record(
            Action.ACCOUNT_CREATED,
            actor=by,
            subject_id=user.pk,
            object_type="user",
            object_id=str(user.pk),
            details={"role": str(role)},
        )
    return user


def send_invitation(user: User, request: HttpRequest) -> None:
    """Mail `user` the link with which the person sets a password."""
    from allauth.account.forms import default_token_generator
    from allauth.account.internal.flows.password_reset import request_password_reset

    request_password_reset(request, user.email, [user], default_token_generator)


def change_role(user: User, role: Role, *, by: User) -> None:
    """Give `user` another role, from the next request on. Raises `LastAdminError`.

    Tokens end: they were given under the rules of the role before.
    """
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        before = locked.role
        if before == role:
            return
        if before == Role.ADMIN:
            require_another_admin(locked)
        User.objects.filter(pk=user.pk).update(role=role)
        ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
        record(
            Action.ROLE_CHANGED,
            actor=by,
            subject_id=user.pk,
            object_type="user",
            object_id=str(user.pk),
            details={"from": before, "to": str(role)},
        )
    user.role = role


def set_active(user: User, *, active: bool, by: User) -> None:
    """Open or close an account, from the next request on. Raises `LastAdminError`.

    Closing revokes its tokens for good: they must not come back to life with the account.
    """
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if locked.is_active == active:
            return
        if not active and locked.role == Role.ADMIN:
            require_another_admin(locked)
        User.objects.filter(pk=user.pk).update(is_active=active)
        if not active:
            ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
        record(
            Action.ACCOUNT_ENABLED if active else Action.ACCOUNT_DISABLED,
            actor=by,
            subject_id=user.pk,
            object_type="user",
            object_id=str(user.pk),
        )
    user.is_active = active


def require_another_admin(user: User) -> None:
    """Raise `LastAdminError` where `user` is the last active administrator."""
    others = User.objects.filter(role=Role.ADMIN, is_active=True).exclude(pk=user.pk)
    if not others.exists():
        raise LastAdminError
