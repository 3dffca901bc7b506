"""How often a code or passkey of the second factor may be tried.

Counted per account and address together, as passwords are: whoever has stolen a password must not
keep its owner out. The bound per account is there for whoever guesses from many addresses: of a
million codes three are right at any time, so a day of guessing succeeds once in 3,000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from allauth.account.adapter import get_adapter
from allauth.core import context
from allauth.core.internal import ratelimit

from accounts import failures

if TYPE_CHECKING:
    from django.http import HttpRequest

    from accounts.models import User

HERE: Final = "second_factor"
ANYWHERE: Final = "second_factor_anywhere"
RATES: Final = {HERE: "20/m/ip,5/5m/key", ANYWHERE: "100/d/user"}


class Try:
    """One try that was counted."""

    def __init__(self, *counted: Any) -> None:
        self._counted = counted

    def was_right(self) -> None:
        """Take the count back. Failures before it stay, or a right code would buy new guesses."""
        for usage in self._counted:
            usage.rollback()


def count(user: User) -> Try:
    """Count one try of `user` in the present request.

    Raises `ValidationError` where this account had too many, here or altogether, and notes it.
    """
    request: HttpRequest = context.request
    key = f"{user.pk}|{ratelimit.get_ip(request)}"
    here = ratelimit.consume(request, app="dermai", action=HERE, config=RATES, key=key)
    anywhere = here and ratelimit.consume(
        request, app="dermai", action=ANYWHERE, config=RATES, user=user
    )
    if not anywhere:
        failures.record_throttled_code(user)
        raise get_adapter().validation_error("too_many_login_attempts")
    return Try(here, anywhere)


def forget(request: HttpRequest, user: User) -> None:
    """Forget the tries from anywhere: a new password has shut out who made them."""
    ratelimit.clear(request, app="dermai", action=ANYWHERE, config=RATES, user=user)
