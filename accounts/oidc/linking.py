"""The connection of an account with the hospital, and its end by the person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allauth.account.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount
from django.db import transaction
from django.utils import timezone

from accounts import locks
from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import User
from accounts.oidc.adapter import PROVIDER
from accounts.sessions import ending

if TYPE_CHECKING:
    from django.http import HttpRequest


class LinkingError(Exception):
    """The connection stays as it is."""


class NotLinkedError(LinkingError):
    """The hospital does not open this account."""


class OnlyWayInError(LinkingError):
    """Without the hospital the person could not sign in any more. Set a password first."""


def link_of(user: User) -> SocialAccount | None:
    """Return the connection; None where there is none."""
    return SocialAccount.objects.filter(user=user, provider=PROVIDER).first()


def end(request: HttpRequest, user: User, *, hospital: str) -> None:
    """End the connection for good, sign out everywhere else, tell the person by e-mail.

    A sign-in there with the same address does not make it anew: not before the person allows it.
    Raises `NotLinkedError`, `OnlyWayInError`.
    """
    with transaction.atomic():
        locked = next(iter(locks.keep(user.pk)), None)
        link = link_of(locked) if locked else None
        if locked is None or link is None:
            raise NotLinkedError
        if not locked.has_usable_password():
            raise OnlyWayInError
        link.delete()
        User.objects.filter(pk=user.pk).update(hospital_ended_at=timezone.now())
        record(Action.SIGN_IN_UNLINKED, actor=user, subject_id=user.pk)
        ending.end_others(user, here=request.session.session_key)
        get_adapter().send_notification_mail(
            "accounts/oidc/email/ended", user, {"hospital": hospital}
        )


def allow(user: User) -> None:
    """Let the next sign-in there connect the account again. Raises `NotLinkedError`."""
    with transaction.atomic():
        ended = User.objects.filter(pk=user.pk).exclude(hospital_ended_at=None)
        if not ended.update(hospital_ended_at=None):
            raise NotLinkedError
        record(Action.SIGN_IN_ALLOWED, actor=user, subject_id=user.pk)
