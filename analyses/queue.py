"""The door from the web side to the worker: a task name and an id, never an import."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from celery import current_app
from django.db.models.functions import Now
from kombu.exceptions import ChannelError, OperationalError
from redis.exceptions import RedisError

from analyses.leases import Queue
from analyses.models import Analysis, Status

if TYPE_CHECKING:
    import uuid

ANALYSE: Final = "inference_worker.tasks.analyse"
BROKER_ERRORS: Final = (OperationalError, RedisError, OSError)
# A person waits on the other side: without a broker an upload takes a second longer, no more.
IMPATIENT: Final = {"max_retries": 0, "socket_connect_timeout": 1, "socket_timeout": 1}
logger = logging.getLogger(__name__)


def enqueue(analysis_id: uuid.UUID) -> bool:
    """Send the analysis to the workers and note when: that is its place (`analyses.turns`).

    False when the broker is down: the row then has no `enqueued_at`, and `reconcile` sends it.
    """
    try:
        with current_app.connection_for_write(transport_options=IMPATIENT) as connection:
            current_app.send_task(ANALYSE, args=[str(analysis_id)], connection=connection)
    except BROKER_ERRORS as error:
        logger.warning("analysis %s waits for the broker: %s", analysis_id, error)
        return False
    Analysis.objects.filter(id=analysis_id, status=Status.QUEUED).update(enqueued_at=Now())
    return True


def waiting_messages() -> int | None:
    """Count the messages on the inference queue; None when the broker is down."""
    try:
        with current_app.connection_for_read(transport_options=IMPATIENT) as connection:
            try:
                declared = connection.default_channel.queue_declare(Queue.INFERENCE, passive=True)
            except ChannelError:  # Redis has no key for an empty queue
                return 0
    except BROKER_ERRORS as error:
        logger.warning("the queue could not be counted: %s", error)
        return None
    return int(declared.message_count)
