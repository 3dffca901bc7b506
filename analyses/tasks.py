"""Maintenance, run by the beat on a queue of its own by a worker without torch."""

from __future__ import annotations

from typing import Final

from celery import shared_task

import analyses.worker  # noqa: F401 - its receivers watch over the worker that loads this
from analyses import notices, retention, tombstones
from analyses import reconcile as mending

SOFT_LIMIT: Final = 50  # s
HARD_LIMIT: Final = 55  # s


@shared_task(name="analyses.tasks.reconcile", soft_time_limit=SOFT_LIMIT, time_limit=HARD_LIMIT)
def reconcile() -> None:
    """Mend what killed processes left."""
    mending.reconcile()


@shared_task(name="analyses.tasks.send_notices", soft_time_limit=SOFT_LIMIT, time_limit=HARD_LIMIT)
def send_notices() -> None:
    """Tell patients that they were answered."""
    notices.write_due()


@shared_task(
    name="analyses.tasks.apply_retention", soft_time_limit=SOFT_LIMIT, time_limit=HARD_LIMIT
)
def apply_retention() -> None:
    """Delete results that are older than the retention period, if one is set.

    The same daily run writes to this host's file whatever tombstones it lacks, so that a file that
    was lost is whole again, and one host has those of all.
    """
    retention.apply()
    tombstones.complete_file()
