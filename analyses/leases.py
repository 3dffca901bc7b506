"""Which workers are alive: a lease in the cache that each renews while it consumes.

A claim names its worker, so that the work of a killed worker is taken up within seconds instead of
after the time limit. A lease lost by mistake (a cache restarted empty) costs one repeated attempt:
the fence of `analyses.lifecycle` lets only the newest one write.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)


_MODEL_KEY: Final = "lease:model"


class Queue(StrEnum):
    """The queues, and thereby the kinds of worker."""

    INFERENCE = "inference"
    MAINTENANCE = "maintenance"


def renew(worker: str, queues: Iterable[str]) -> None:
    """Say that `worker` is alive and consumes `queues`. A cache that is down is only logged."""
    _set([_worker_key(worker), *map(_queue_key, queues)], f"worker {worker}")


def renew_model() -> None:
    """Say that a worker has the model ready to judge. A cache that is down is only logged."""
    _set([_MODEL_KEY], "the model")


def lapsed(workers: set[str]) -> set[str]:
    """Return those of `workers` that hold no lease; none of them when the cache is down."""
    try:
        alive = cache.get_many([_worker_key(worker) for worker in workers])
    except (RedisError, OSError) as error:
        logger.warning("the leases could not be read: %s", error)
        return set()
    return {worker for worker in workers if _worker_key(worker) not in alive}


def is_served(queue: Queue) -> bool:
    """Tell whether a live worker consumes `queue`. Raises `RedisError` when the cache is down."""
    return cache.get(_queue_key(queue)) is not None


def has_model() -> bool:
    """Tell whether a live worker has its model ready. Raises `RedisError` like `is_served`."""
    return cache.get(_MODEL_KEY) is not None


def _set(keys: Iterable[str], whose: str) -> None:
    try:
        cache.set_many(dict.fromkeys(keys, 1), timeout=settings.WORKER_LEASE_TTL)
    except (RedisError, OSError) as error:
        logger.warning("the lease of %s was not renewed: %s", whose, error)


def _worker_key(worker: str) -> str:
    return f"lease:worker:{worker}"


def _queue_key(queue: str) -> str:
    return f"lease:queue:{queue}"
