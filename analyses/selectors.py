"""Questions about analyses that pages and the API ask."""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from typing import Final

from analyses import turns
from analyses.models import Analysis, Status

RECENT: Final = 20


def expected_seconds(analysis: Analysis) -> float | None:
    """Estimate the seconds from the claim or the queue's end to the result.

    The median of the last twenty durations, times the place in the queue; None without any yet.
    """
    if analysis.is_terminal:
        return 0.0
    durations = [
        (completed_at - claimed_at) / timedelta(seconds=1)
        for claimed_at, completed_at in Analysis.objects.filter(
            status=Status.COMPLETED, claimed_at__isnull=False, completed_at__isnull=False
        )
        .order_by("-completed_at")
        .values_list("claimed_at", "completed_at")[:RECENT]
        if claimed_at is not None and completed_at is not None
    ]
    if not durations:
        return None
    running = Analysis.objects.filter(status=Status.RUNNING).exclude(id=analysis.id).exists()
    places = max(turns.position(analysis), 1) + (
        1 if running and analysis.status == Status.QUEUED else 0
    )
    return median(durations) * places
