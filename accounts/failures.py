"""What stands in the trail of a sign-in that failed. Who tried is nobody that we know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from allauth.core import context
from allauth.core.internal import ratelimit

from accounts.audit.chain import record
from accounts.audit.models import Action
from accounts.models import User

if TYPE_CHECKING:
    from accounts.audit.chain import Detail

# Of one address, tries that were not even looked at: the trail must not be filled with them.
RATES: Final = {"throttled_noted": "30/m/ip"}


def record_password(email: str) -> None:
    """Note whose account was tried with a wrong password; of an unknown address nothing is kept."""
    _record(_account(email), {})


def record_throttled_password(email: str) -> None:
    """Note whose account was tried once too often: the password was not looked at."""
    if _is_worth_a_row():
        _record(_account(email), {"throttled": True})


def record_code(user: User) -> None:
    """Note a code or passkey of `user` that was wrong, after a password that was right."""
    _record(user, {"step": "second_factor"})


def record_throttled_code(user: User) -> None:
    """Note a code or passkey that was not looked at, after too many that were wrong."""
    if _is_worth_a_row():
        _record(user, {"step": "second_factor", "throttled": True})


def _account(email: str) -> User | None:
    return User.objects.filter(email__iexact=email).first()


def _is_worth_a_row() -> bool:
    usage = ratelimit.consume(context.request, app="dermai", action="throttled_noted", config=RATES)
    return usage is not None


def _record(user: User | None, details: dict[str, Detail]) -> None:
    record(
        Action.SIGN_IN_FAILED,
        actor=None,
        subject_id=user.pk if user else None,
        details=details,
    )
