"""API tokens: issue, find, revoke. The token itself is shown once and never stored."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import locks
from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import ApiToken

if TYPE_CHECKING:
    import uuid

    from accounts.models import User

TOKEN_BYTES: Final = 32
PREFIX: Final = "dermai_"  # lets a secret scanner recognise a leaked one
# The time of last use is for the person's own eyes: to the minute is enough, and saves writes.
LAST_USED_STEP: Final = timedelta(minutes=1)
_DECISIVE: Final = ("password", "role", "second_factor_since")


class ChangedMeanwhileError(Exception):
    """What the person showed who they are by holds no longer."""


def issue(user: User) -> tuple[ApiToken, str]:
    """Make a token for `user`; return its row and the secret, which is not kept.

    Raises `ChangedMeanwhileError` where the account is closed or gone, or has another password,
    role or second factor than `user`, as which it was looked at: all tokens were ended then.
    """
    secret = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    with transaction.atomic():
        kept = locks.keep_open(user)
        if kept is None or any(getattr(kept, name) != getattr(user, name) for name in _DECISIVE):
            raise ChangedMeanwhileError
        token = ApiToken.objects.create(
            user=user,
            digest=_digest(secret),
            expires_at=timezone.now() + timedelta(days=settings.API_TOKEN_DAYS),
        )
        record(
            Action.TOKEN_CREATED,
            actor=user,
            subject_id=user.pk,
            object_type="api_token",
            object_id=str(token.pk),
        )
    return token, secret


def find(secret: str) -> ApiToken | None:
    """Return the live token behind `secret`: not revoked, not expired, of an active user."""
    now = timezone.now()
    token = (
        ApiToken.objects.select_related("user")
        .filter(digest=_digest(secret), revoked_at=None, expires_at__gt=now, user__is_active=True)
        .first()
    )
    if token and (token.last_used_at is None or now - token.last_used_at > LAST_USED_STEP):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        token.last_used_at = now
    return token


def revoke(token_id: int, *, of: User) -> bool:
    """End a token of `of`; return whether there was a live one."""
    with transaction.atomic():
        locks.keep(of.pk)
        ended = ApiToken.objects.filter(pk=token_id, user=of, revoked_at=None).update(
            revoked_at=timezone.now()
        )
        if ended:
            record(
                Action.TOKEN_REVOKED,
                actor=of,
                subject_id=of.pk,
                object_type="api_token",
                object_id=str(token_id),
            )
    return bool(ended)


def end_all(user_id: uuid.UUID) -> int:
    """End every token of a person, whose sessions end for the same reason; return how many.

    What ended them stands in the trail already.
    """
    live = ApiToken.objects.filter(user_id=user_id, revoked_at=None)
    return live.update(revoked_at=timezone.now())


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
