"""Writes sign-in, sign-out and changes of the password to the trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allauth.account.signals import password_changed, password_reset, password_set
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver

from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import User

if TYPE_CHECKING:
    from collections.abc import Mapping


@receiver(user_logged_in)
def _signed_in(user: User, **_: Any) -> None:
    record(Action.SIGNED_IN, actor=user, subject_id=user.pk)


@receiver(user_logged_out)
def _signed_out(user: User | None, **_: Any) -> None:
    if user is not None:
        record(Action.SIGNED_OUT, actor=user, subject_id=user.pk)


@receiver(user_login_failed)
def _sign_in_failed(credentials: Mapping[str, Any], **_: Any) -> None:
    """Note whose account was tried; of an unknown address nothing is kept."""
    email = str(credentials.get("email") or credentials.get("username") or "")
    account = User.objects.filter(email__iexact=email).first()
    record(Action.SIGN_IN_FAILED, actor=None, subject_id=account.pk if account else None)


@receiver([password_changed, password_reset, password_set])
def _password_changed(user: User, **_: Any) -> None:
    record(Action.PASSWORD_CHANGED, actor=user, subject_id=user.pk)
