"""Writes sign-in, sign-out and changes of the credentials to the trail; follows the factors."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from allauth.account.signals import password_changed, password_reset, password_set
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed
from allauth.socialaccount.signals import social_account_added
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.utils import timezone
from redis.exceptions import RedisError

from accounts import code_limits, failures, reset_limits, tokens
from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import User
from accounts.sessions import limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allauth.socialaccount.models import SocialLogin
    from django.http import HttpRequest


@receiver(user_logged_in)
def _signed_in(user: User, **_: Any) -> None:
    record(Action.SIGNED_IN, actor=user, subject_id=user.pk)


@receiver(user_logged_out)
def _signed_out(user: User | None, **_: Any) -> None:
    if user is not None:
        record(Action.SIGNED_OUT, actor=user, subject_id=user.pk)


@receiver(user_login_failed)
def _sign_in_failed(credentials: Mapping[str, Any], **_: Any) -> None:
    failures.record_password(str(credentials.get("email") or credentials.get("username") or ""))


@receiver([password_changed, password_reset, password_set])
def _password_changed(request: HttpRequest, user: User, **_: Any) -> None:
    """Let what strangers did under the old password hold its owner up no longer.

    With it nobody gets as far as the second factor, and the links that they had mailed are spent.
    What has to happen with the change happens in `adapter.AccountAdapter.set_password`.
    """
    with contextlib.suppress(RedisError):  # they lapse by themselves
        code_limits.forget(request, user)
        reset_limits.forget(request, user.email)


@receiver(social_account_added)
def _linked(sociallogin: SocialLogin, **_: Any) -> None:
    user: User = sociallogin.user
    record(Action.SIGN_IN_LINKED, actor=user, subject_id=user.pk)


@receiver([post_save, post_delete], sender=Authenticator)
def _follow_second_factor(instance: Authenticator, **_: Any) -> None:
    """Note on the account whether it has a second factor. Recovery codes alone are none.

    The tokens end when that changes: they were given for less, or for a factor that is gone.
    """
    factors = Authenticator.objects.filter(user_id=instance.user_id).exclude(
        type=Authenticator.Type.RECOVERY_CODES
    )
    account = User.objects.filter(pk=instance.user_id)
    if factors.exists():
        without = account.filter(second_factor_since=None)
        changed = without.update(second_factor_since=timezone.now())
    else:
        changed = account.exclude(second_factor_since=None).update(second_factor_since=None)
    if changed:
        tokens.end_all(instance.user_id)


@receiver([authenticator_added, authenticator_removed])
def _second_factor_changed(
    request: HttpRequest, user: User, authenticator: Authenticator, **_: Any
) -> None:
    """Keep this session, which has shown the password; every other one has ended."""
    user.refresh_from_db(fields=["second_factor_since"])
    update_session_auth_hash(request, user)
    limits.note_new_key(request)
    record(
        Action.MFA_CHANGED,
        actor=user,
        subject_id=user.pk,
        object_type=authenticator.type,
        details={"active": user.second_factor_since is not None},
    )
