"""Which workers are alive: a lease in the cache that each renews while it consumes.

A claim names its worker, so that the work of a killed worker is taken up within seconds instead of
after the time limit. A lease lost by mistake (a cache restarted empty) costs one repeated attempt:
the fence of `analyses.lifecycle` lets only the newest one write.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)


class Queue(StrEnum):
    """The queues, and thereby the kinds of worker."""

    INFERENCE = "inference"
    MAINTENANCE = "maintenance"


def renew(worker: str, queues: Iterable[str]) -> None:
    """Say that `worker` is alive and consumes `queues`. A cache that is down is only logged."""
    values = {_worker_key(worker): 1} | {_queue_key(queue): 1 for queue in queues}
    try:
        cache.set_many(values, timeout=settings.WORKER_LEASE_TTL)
    except (RedisError, OSError) as error:
        logger.warning("the lease of worker %s was not renewed: %s", worker, error)


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


def _worker_key(worker: str) -> str:
    return f"lease:worker:{worker}"


def _queue_key(queue: str) -> str:
    return f"lease:queue:{queue}"
