"""How many reset mails one address is sent.

What goes beyond that is dropped without a word: the answer is the same, and stays the same for an
address that nobody has here. Its owner does not miss it: as many links as this, each good for three
days, are in the mailbox already. Refusing instead would let strangers keep the owner out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from allauth.core.internal import ratelimit

if TYPE_CHECKING:
    from django.http import HttpRequest

ACTION: Final = "reset_mail"
RATES: Final = {ACTION: "5/h/key,15/d/key"}


def may_send(request: HttpRequest, email: str) -> bool:
    """Count one mail to `email`; False when it had enough."""
    usage = ratelimit.consume(request, app="dermai", action=ACTION, config=RATES, key=email.lower())
    return usage is not None


def forget(request: HttpRequest, email: str) -> None:
    """Start anew: the password has changed, so the links that were sent are spent."""
    ratelimit.clear(request, app="dermai", action=ACTION, config=RATES, key=email.lower())
