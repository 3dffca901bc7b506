"""How often a person may look for a dermatologist by code or address.

A lookup tells whether an address belongs to a dermatologist. A patient needs a handful of tries; a
stranger with many accounts is held back by the network address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from allauth.core.internal import ratelimit

if TYPE_CHECKING:
    from django.http import HttpRequest

ACTION: Final = "find_dermatologist"
RATES: Final = "5/10m/user,15/d/user,30/h/ip"
RETRY_AFTER: Final = 600  # s, the first of these windows


def may_look_up(request: HttpRequest) -> bool:
    """Count one lookup; False when this person or address had too many."""
    usage = ratelimit.consume(request, app="dermai", action=ACTION, config={ACTION: RATES})
    return usage is not None
