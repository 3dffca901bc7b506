"""How often a person may do what leaves a row behind each time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from allauth.core.internal import ratelimit
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest

    from accounts.models import User

logger = logging.getLogger(__name__)


def within(
    request: HttpRequest, action: str, rates: Mapping[str, str], *, user: User | None = None
) -> bool:
    """Count one `action`, a GET too; return whether it is within its rate of `rates`.

    Without Redis it is: these limits keep tables short, and guard nothing that a person has.
    """
    try:
        usage = ratelimit.consume(
            request, app="dermai", action=action, config=dict(rates), user=user, limit_get=True
        )
    except RedisError as error:
        logger.warning("%s is not counted: %s", action, error)
        return True
    return usage is not None
