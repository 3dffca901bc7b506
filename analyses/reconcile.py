"""Mend what killed processes left: the reason why no accepted upload is ever lost.

A hard kill skips `finally`, a broker loses messages, a worker dies with a claim in hand. Each step
here is safe to repeat and to run beside itself: all writes are conditional.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone

from analyses import leases, lifecycle, purging, queue, storage, tombstones
from analyses.models import Analysis, DeletionEvent, Status
from analyses.models.analysis import TERMINAL

# Who takes a message claims a row within moments; until then that row still says QUEUED. A worker
# that waits for its model claims later: then a message too many is sent, which finds nothing.
PLAUSIBLE_IN_HAND: Final = timedelta(seconds=60)
# After an outage thousands may wait; a round must end before its time limit.
MOST_AT_ONCE: Final = 500
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mended:
    """How many of each kind were mended."""

    enqueued: int = 0
    released: int = 0
    purged: int = 0
    orphans: int = 0
    filed: int = 0


def reconcile() -> Mended:
    """Mend everything once."""
    mended = Mended(
        released=release_abandoned(),
        enqueued=enqueue_forgotten(),
        purged=purge_leftovers(),
        orphans=delete_orphans(),
        filed=tombstones.file_what_waits(),
    )
    if mended != Mended():
        logger.info("reconcile: %s", mended)
    return mended


def release_abandoned() -> int:
    """Give up RUNNING attempts whose worker's lease lapsed, or that outlast every time limit."""
    running = Analysis.objects.filter(status=Status.RUNNING)
    overdue = running.filter(claimed_at__lt=Now() - timedelta(seconds=settings.RECONCILE_AFTER))
    # A worker renews its lease a moment after it starts; a fresh claim proves life by itself.
    settled = running.filter(claimed_at__lt=Now() - timedelta(seconds=settings.WORKER_LEASE_TTL))
    dead = leases.lapsed(set(settled.exclude(claimed_by="").values_list("claimed_by", flat=True)))
    abandoned = {
        *overdue.values_list("id", "attempts"),
        *settled.filter(claimed_by__in=dead).values_list("id", "attempts"),
    }
    return sum(lifecycle.release(id_, attempt=attempt) for id_, attempt in abandoned)


def enqueue_forgotten() -> int:
    """Send QUEUED rows that were never sent, and those whose message is lost.

    A long backlog is not stale: for each waiting row there is a message, however old. Only when the
    broker holds fewer messages than rows wait, so many rows are sent again, those first that kept
    their place the longest. Which ones does not matter, because any message stands for any row
    (`analyses.turns`). One too many costs nothing: it finds nothing to claim.
    """
    sent = 0
    queued = Analysis.objects.filter(status=Status.QUEUED)
    unsent = list(
        queued.filter(enqueued_at__isnull=True)
        .order_by("created_at")
        .values_list("id", flat=True)[:MOST_AT_ONCE]
    )
    waiting = queued.filter(enqueued_at__isnull=False)
    expected = waiting.count()
    messages = queue.waiting_messages()
    if messages is None:
        return 0
    lost = list(
        waiting.filter(enqueued_at__lt=Now() - _plausible())
        .order_by("enqueued_at")
        .values_list("id", flat=True)[: min(max(expected - messages, 0), MOST_AT_ONCE)]
    )
    for analysis_id in unsent + lost:
        if not queue.enqueue(analysis_id):
            break
        sent += 1
    return sent


def purge_leftovers() -> int:
    """Delete pictures whose hold has ended, and those whose deletion was cut off."""
    ended = Analysis.objects.filter(
        status__in=TERMINAL, image_key__isnull=False, held_until__lte=timezone.now()
    )
    purged = sum(purging.purge(row, DeletionEvent.Reason.HOLD_ENDED) for row in ended)
    cut_off = Analysis.objects.filter(
        status__in=TERMINAL, image_key__isnull=True, image_purged_at__isnull=True
    )
    for analysis_id in cut_off.values_list("id", flat=True):
        purged += purging.remove_image(analysis_id, reason=DeletionEvent.Reason.TERMINAL)
    return purged


def delete_orphans() -> int:
    """Delete stored files that belong to no row, left by an upload that died before its commit."""
    limit = timezone.now() - timedelta(seconds=settings.RECONCILE_AFTER)
    old = {image_id for image_id, written in storage.stored() if written < limit}
    owned = set(
        Analysis.objects.filter(id__in=old, image_key__isnull=False).values_list("id", flat=True)
    )
    for image_id in old - owned:
        storage.delete(image_id)
    return len(old - owned) + storage.delete_drafts(older_than=limit)


def _plausible() -> timedelta:
    return min(PLAUSIBLE_IN_HAND, timedelta(seconds=settings.RECONCILE_AFTER))
