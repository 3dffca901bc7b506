"""What uploads to the running product tell: times, what came of each, whether anything was lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

PERCENTILES: Final = (50, 95, 99)
ENDED: Final = frozenset({"COMPLETED", "REJECTED", "FAILED"})
ACCEPTED: Final = 202

Figures = dict[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Sent:
    """One upload as its sender, by number, saw it; times in s since the epoch."""

    sender: int
    posted_at: float
    answered_at: float
    http_status: int
    analysis_id: str | None


@dataclass(frozen=True, slots=True)
class Became:
    """What the database holds of an accepted upload; times in s since the epoch.

    `accepted_at` is when intake wrote the row, `pipeline` the s that the stages of the model took;
    None where there is no result to say so. `seen` is the status that its owner was shown.
    """

    status: str
    seen: str
    attempts: int
    accepted_at: float
    claimed_at: float | None
    ended_at: float | None
    pipeline: float | None


def percentiles(name: str, seconds: Sequence[float]) -> Figures:
    """Return the percentiles of `seconds` in ms, under `name`; nothing where there are none."""
    if not seconds:
        return {}
    found = np.percentile(np.asarray(seconds), PERCENTILES) * 1000
    return {
        f"{name}_ms_p{share}": round(float(value), 1)
        for share, value in zip(PERCENTILES, found, strict=True)
    }


def counts(sent: Sequence[Sent], became: Sequence[Became]) -> Figures:
    """Return how many uploads were accepted, what they ended in, and how many were lost.

    Lost is what was accepted and has not ended, or ends otherwise for its owner.
    """
    accepted = sum(one.http_status == ACCEPTED for one in sent)
    kept = sum(one.status in ENDED and one.seen == one.status for one in became)
    return {
        "uploads": len(sent),
        "accepted": accepted,
        "refused": len(sent) - accepted,
        **{status.lower(): sum(one.status == status for one in became) for status in sorted(ENDED)},
        "repeated_attempts": sum(max(0, one.attempts - 1) for one in became),
        "lost": accepted - kept,
    }


def idle(sent: Sequence[Sent], became: Sequence[Became]) -> Figures:
    """Return the figures of uploads that were sent one at a time, each to an idle worker.

    Overhead is the time from the row that intake wrote to the result that could be read, without
    the pipeline's own.
    """
    whole = [(b.ended_at - b.accepted_at, b) for b in became if b.ended_at is not None]
    judged = [(took, b.pipeline) for took, b in whole if b.pipeline is not None]
    waits = [b.claimed_at - b.accepted_at for b in became if b.claimed_at is not None]
    return {
        **percentiles("idle_overhead", [took - pipeline for took, pipeline in judged]),
        **percentiles("idle_pipeline", [pipeline for _, pipeline in judged]),
        **percentiles("idle_until_claimed", waits),
        **percentiles("idle_answer", [one.answered_at - one.posted_at for one in sent]),
    }


def busy(sent: Sequence[Sent], became: Sequence[Became]) -> Figures:
    """Return the figures of uploads that all users sent as fast as they could."""
    ends = [b.ended_at for b in became if b.ended_at is not None]
    latencies = [b.ended_at - b.accepted_at for b in became if b.ended_at is not None]
    told = {
        **percentiles("busy_answer", [one.answered_at - one.posted_at for one in sent]),
        **percentiles("busy_latency", latencies),
    }
    if ends:
        took = max(ends) - min(one.posted_at for one in sent)
        told["throughput_per_s"] = round(len(ends) / took, 3)
    return told
