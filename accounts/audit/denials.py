"""Denials in the trail, so many an hour for each person: nobody fills it by asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from allauth.core.internal import ratelimit
from redis.exceptions import RedisError

from accounts.audit.chain import record
from accounts.audit.models import Action

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest

    from accounts.models import User

RATES: Final = {"denied": "60/h/user", "denials_over": "1/h/user"}


def note(
    request: HttpRequest,
    user: User,
    *,
    object_type: str,
    object_id: str,
    subject_id: UUID | None = None,
) -> None:
    """Write down what `user` was refused; beyond the hour's number, once, that there is more."""
    if _is_within(request, user, "denied"):
        facts = {}
    elif _is_within(request, user, "denials_over"):
        facts = {"throttled": True}
    else:
        return
    record(
        Action.DENIED,
        actor=user,
        subject_id=subject_id,
        object_type=object_type,
        object_id=object_id,
        details=facts,
    )


def _is_within(request: HttpRequest, user: User, action: str) -> bool:
    """Whether it is within the number; also where the cache, which counts, does not answer."""
    try:
        usage = ratelimit.consume(
            request, app="dermai", action=action, config=RATES, user=user, limit_get=True
        )
    except RedisError:
        return True
    return usage is not None
