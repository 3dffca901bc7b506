"""Is it alive, and is it ready? Public, so a part is `ok` or `failing` and nothing more."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis import Redis
from redis.exceptions import RedisError

from analyses import leases
from analyses.leases import Queue
from dermai.redis_urls import cache_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

OK: Final = "ok"
FAILING: Final = "failing"
REDIS_TIMEOUT: Final = 1  # s
logger = logging.getLogger(__name__)


class NotServedError(Exception):
    """No live worker consumes a queue or has its model ready, or the bundle is no bundle."""


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Say that this process answers; asks nothing else, so that no outage restarts it."""
    return JsonResponse({"status": OK})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Say whether each part that an analysis needs is there: 200, or 503 with the failing ones."""
    parts = {name: _state(name, check) for name, check in CHECKS.items()}
    ready = all(state == OK for state in parts.values())
    return JsonResponse(
        {"status": OK if ready else FAILING, "parts": parts},
        status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE,
    )


def _state(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except (DatabaseError, RedisError, OSError, ValueError, NotServedError) as error:
        logger.warning("readiness: %s: %s", name, error)
        return FAILING
    return OK


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _broker() -> None:
    with Redis.from_url(
        cache_url(settings.REDIS_URL),
        socket_connect_timeout=REDIS_TIMEOUT,
        socket_timeout=REDIS_TIMEOUT,
    ) as client:
        client.ping()


def _served(queue: Queue) -> None:
    if not leases.is_served(queue):
        raise NotServedError(f"no live worker consumes {queue}")


def _model() -> None:
    if not leases.has_model():
        raise NotServedError("no live worker has loaded its model bundle")


def _bundle() -> None:
    facts = json.loads((settings.BUNDLE_DIR / "bundle.json").read_bytes())
    if not isinstance(facts, dict) or "schema_version" not in facts:
        raise NotServedError("bundle.json is no bundle")


CHECKS: Final[dict[str, Callable[[], None]]] = {
    "database": _database,
    "broker": _broker,
    "inference_worker": lambda: _served(Queue.INFERENCE),
    "maintenance_worker": lambda: _served(Queue.MAINTENANCE),
    "bundle": _bundle,
    "model": _model,
}
