"""How many files that are no use one person may send: to read one costs as much as a good photo.

What is accepted is counted by `analyses.quota`; here is counted what is not.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.cache import caches
from redis.exceptions import RedisError

from analyses.exceptions import (
    DecoderUnavailableError,
    TooManyAtOnceError,
    TooManyRefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accounts.models import User

WINDOW: Final = 600  # s
CACHE_ERRORS: Final = (RedisError, OSError, ValueError)  # the last: the counter was just emptied
logger = logging.getLogger(__name__)


@contextmanager
def metered(owner: User) -> Iterator[None]:
    """Count what is read inside, unless it turns out to be a usable picture.

    It is counted before it is read, so that files sent at the same moment do not pass together.
    Raises `TooManyRefusedError`, with nothing read. A cache that is down lets everything pass: an
    upload needs no Redis.
    """
    limit: int = settings.REFUSALS_PER_USER
    if not limit:
        yield
        return
    now = time.time()
    key = f"refused:{owner.pk}:{int(now // WINDOW)}"
    if _count(key) > limit:
        raise TooManyRefusedError(limit=limit, retry_after=math.ceil(WINDOW - now % WINDOW))
    try:
        yield
    except (DecoderUnavailableError, TooManyAtOnceError):
        _forgive(key)  # that was not the file's fault
        raise
    else:
        _forgive(key)


def _count(key: str) -> int:
    try:
        caches["limits"].add(key, 0, timeout=WINDOW)
        return caches["limits"].incr(key)
    except CACHE_ERRORS as error:
        logger.warning("refused uploads are not counted: %s", error)
        return 0


def _forgive(key: str) -> None:
    try:
        caches["limits"].decr(key)
    except CACHE_ERRORS as error:
        logger.warning("an accepted upload stays counted as refused: %s", error)
