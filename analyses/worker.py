"""What a worker process checks when it starts, and how it shows that it lives.

Both task modules import it, so its receivers stand before Celery announces the worker.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from functools import partial
from typing import Any, Final, NoReturn

from celery import signals
from celery.concurrency import get_implementation
from celery.exceptions import TimeLimitExceeded
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from analyses import leases, lifecycle, queue
from analyses.leases import Queue
from analyses.models import FailureCode

# How the worker's process tells these to the child that runs the tasks.
IDENTITY_VARIABLE: Final = "DERMAI_WORKER_IDENTITY"
QUEUES_VARIABLE: Final = "DERMAI_WORKER_QUEUES"
# While the main process waits it renews no lease: far less than one's time.
FREE_AFTER: Final = (0.0, 0.5, 1.0, 2.0, 4.0)  # s before each try
DATABASE_AWAY: Final = (OperationalError, InterfaceError)
logger = logging.getLogger(__name__)


class _Pulse:
    """When this process renewed its lease, and for which queues."""

    queues: tuple[str, ...] = ()
    renewed_at: float = 0.0


def identity() -> str:
    """Return the name of the worker that this process, or its parent, is."""
    return os.environ.get(IDENTITY_VARIABLE, "")


def analyses_photos() -> bool:
    """Tell whether the worker that this process, or its parent, is runs the model."""
    return Queue.INFERENCE in os.environ.get(QUEUES_VARIABLE, "").split()


def refusals(
    *, queues: set[str], pool: str, concurrency: object, start_method: str, accepts: set[str]
) -> list[str]:
    """Tell why a worker with these settings must not run analyses; empty when it may."""
    if Queue.INFERENCE not in queues:
        return []
    found = []
    if pool != "prefork":
        found.append(f"the pool is {pool}; use --pool=prefork, others ignore the time limits")
    if concurrency != 1:
        found.append(
            f"the concurrency is {concurrency}; use --concurrency=1 and start more workers instead"
        )
    if start_method != "spawn":
        found.append(f"children start by {start_method}; torch needs spawn")
    if accepts != {"json"}:
        found.append(f"the worker accepts {sorted(accepts)}; only json is safe")
    return found


@signals.worker_init.connect
def check_settings(sender: Any, **_: Any) -> None:
    """Refuse to start an inference worker whose time limits or memory bounds would not hold."""
    os.environ[IDENTITY_VARIABLE] = secrets.token_hex(16)
    _Pulse.queues = tuple(sender.app.amqp.queues.consume_from)
    os.environ[QUEUES_VARIABLE] = " ".join(_Pulse.queues)
    autoscale = sender.options.get("autoscale")
    found = refusals(
        queues=set(_Pulse.queues),
        pool=get_implementation(sender.pool_cls).__module__.rpartition(".")[2],
        concurrency=autoscale or sender.concurrency,
        start_method=sender.pool_start_method,
        accepts={str(kind) for kind in sender.app.conf.accept_content},
    )
    if found:
        # Not an Exception: Celery logs those of a signal's receivers and goes on.
        raise SystemExit("This worker does not start: " + "; ".join(found) + ".")


@signals.worker_ready.connect
def show_life_at_start(**_: Any) -> None:
    """Renew the lease as soon as the worker consumes."""
    _renew()


@signals.heartbeat_sent.connect
def show_life(**_: Any) -> None:
    """Renew the lease with the heartbeat, every few seconds."""
    if time.monotonic() - _Pulse.renewed_at >= settings.WORKER_LEASE_TTL / 4:
        _renew()


@signals.task_failure.connect
def take_up_lost_work(sender: Any = None, exception: Any = None, **_: Any) -> None:
    """Free at once what a task held that failed, or whose child was killed.

    The first runs in the child, the second in the worker's main process. There is one child and it
    has no other task, so whatever its worker holds was that one's. If the database is away
    `reconcile` does it, after more than the time limit.
    """
    if sender is None or sender.name != queue.ANALYSE:
        return
    if isinstance(exception, TimeLimitExceeded):
        free = partial(lifecycle.give_up_lost, code=FailureCode.TIME_LIMIT)
    else:
        away = isinstance(exception, DATABASE_AWAY)
        free = partial(lifecycle.release_lost, counted=not away)
    for delay in FREE_AFTER:
        time.sleep(delay)
        close_old_connections()
        try:
            free(worker=identity())
        except DATABASE_AWAY:
            logger.warning("what the task held is not free yet", exc_info=True)
        else:
            return


def show_model() -> None:
    """Say that the model is ready, again and again, as long as this process lives: for a thread.

    In the child, which holds the model: when it is killed, nobody says so any more.
    """
    while True:
        leases.renew_model()
        time.sleep(settings.WORKER_LEASE_TTL / 4)


def end_child() -> NoReturn:
    """End this process at once, a child: its worker takes it for killed, and starts another.

    What it held is freed so, too: an attempt in company counts against nobody, one alone counts.
    """
    os._exit(os.EX_SOFTWARE)


def _renew() -> None:
    leases.renew(identity(), _Pulse.queues)
    _Pulse.renewed_at = time.monotonic()
