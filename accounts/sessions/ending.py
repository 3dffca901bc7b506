"""End sessions of a person from elsewhere, each with its trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allauth.usersessions.models import UserSession

from accounts.audit.chain import record
from accounts.audit.models import Action

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable

    from accounts.models import User


def end(user: User, sessions: Iterable[UserSession]) -> int:
    """End these sessions of `user`; return how many."""
    count = 0
    for session in sessions:
        session.end()
        record(Action.SIGNED_OUT, actor=user, subject_id=user.pk, details={"from": "elsewhere"})
        count += 1
    return count


def end_others(user: User, *, here: str | None) -> int:
    """End every session of `user` but the one with the key `here`; return how many."""
    return end(user, list(UserSession.objects.filter(user=user).exclude(session_key=here)))


def end_all(user_id: uuid.UUID) -> int:
    """End every session of a person whose account was closed; return how many.

    What ended them stands in the trail already.
    """
    open_ones = list(UserSession.objects.filter(user_id=user_id))
    for session in open_ones:
        session.end()
    return len(open_ones)
