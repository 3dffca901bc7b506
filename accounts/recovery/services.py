"""Ask for the removal of a second factor, confirm it, carry it out."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core import signing
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import locks
from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import User
from accounts.post import letters
from accounts.recovery.models import LIFETIME, SecondFactorReset

if TYPE_CHECKING:
    from accounts.recovery.models import ResetQuerySet

_SALT: Final = "accounts.recovery"


class ResetError(Exception):
    """The removal was not asked for, or not carried out."""


class NothingToResetError(ResetError):
    """No other active account with this address has a second factor."""


class NotOpenError(ResetError):
    """There is no such request, or it is done, or too old. Ask anew."""


class SamePersonError(ResetError):
    """Who asked cannot confirm. Another administrator can, or the person by e-mail."""


def ask(*, email: str, by: User) -> SecondFactorReset:
    """Ask to remove the second factor of `email`, and mail the person a link to confirm.

    An open request of the same administrator is used again. Raises `NothingToResetError`, also for
    one's own account.
    """
    user = User.objects.filter(email__iexact=email, is_active=True).exclude(pk=by.pk).first()
    if user is None or user.second_factor_since is None:
        raise NothingToResetError
    with transaction.atomic():
        locks.keep(user.pk, by.pk)
        reset = SecondFactorReset.objects.open().filter(user=user, asked_by=by).first()
        if reset is None:
            reset = SecondFactorReset.objects.create(user=user, asked_by=by)
            _trace(user, by, "asked")
        _mail(user, "asked", link=settings.PUBLIC_URL + link_of(reset))
    return reset


def open_requests() -> ResetQuerySet:
    """Return what may be confirmed, oldest first."""
    return SecondFactorReset.objects.open().select_related("user", "asked_by")


def link_of(reset: SecondFactorReset) -> str:
    """Return the path at which the person confirms; only the mail carries it."""
    token = signing.dumps(str(reset.pk), salt=_SALT)
    return reverse("accounts:confirm_reset_by_mail", args=[token])


def by_token(token: str) -> SecondFactorReset:
    """Return the open request that a mailed link names. Raises `NotOpenError`."""
    try:
        pk = uuid.UUID(signing.loads(token, salt=_SALT, max_age=LIFETIME))
    except signing.BadSignature as error:
        raise NotOpenError from error
    reset = open_requests().filter(pk=pk).first()
    if reset is None or not reset.user.is_active:
        raise NotOpenError
    return reset


def confirm_by_mail(token: str) -> None:
    """Remove the factor, as the holder of the mailbox asks. Raises `NotOpenError`."""
    reset = by_token(token)
    _carry_out(reset, by=reset.user, how="by_mail")


def confirm(*, reset_id: uuid.UUID, by: User) -> User:
    """Remove the factor as a second administrator; return whose it was.

    Raises `NotOpenError`, `SamePersonError`.
    """
    reset = open_requests().filter(pk=reset_id).first()
    if reset is None:
        raise NotOpenError
    if by.pk in {reset.asked_by_id, reset.user_id}:
        raise SamePersonError
    _carry_out(reset, by=by, how="second_admin")
    return reset.user


def forget_over() -> None:
    """Delete the requests that can no longer be confirmed; the trail keeps what was done."""
    SecondFactorReset.objects.filter(asked_at__lte=timezone.now() - LIFETIME).delete()


def _carry_out(reset: SecondFactorReset, *, by: User, how: str) -> None:
    with transaction.atomic():
        locks.keep(reset.user_id, by.pk)
        # Of this table alone: what a join finds is not looked at again by who waited for the row.
        mine = SecondFactorReset.objects.filter(pk=reset.pk, done_at=None)
        if not mine.update(done_at=timezone.now(), done_by=by):
            raise NotOpenError
        # Noted on the account, which ends every session and every token.
        Authenticator.objects.filter(user=reset.user).delete()
        _trace(reset.user, by, how)
        _mail(reset.user, "done")


def _trace(user: User, actor: User, how: str) -> None:
    record(
        Action.MFA_CHANGED,
        actor=actor,
        subject_id=user.pk,
        object_type="user",
        object_id=str(user.pk),
        details={"reset": how},
    )


def _mail(user: User, what: str, **context: str) -> None:
    with translation.override(user.language or settings.LANGUAGE_CODE):
        body = render_to_string(
            f"accounts/recovery/email/{what}.txt", {"name": user.name, **context}
        )
        subject = {
            "asked": _("Shall your second factor be removed?"),
            "done": _("Your second factor has been removed"),
        }[what]
        prefix = settings.ACCOUNT_EMAIL_SUBJECT_PREFIX
        letters.write(to=user.email, subject=f"{prefix}{subject}", body=body, user=user)
