"""Denials in the trail, so many an hour for each person: nobody fills it by asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from accounts import rates
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
    if rates.within(request, "denied", RATES, user=user):
        facts = {}
    elif rates.within(request, "denials_over", RATES, user=user):
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
