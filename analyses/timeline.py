"""What the model said of one lesion over time, as a drawing and the table behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analyses import wording

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from analyses.models import Analysis

WIDTH: Final = 480
HEIGHT: Final = 160
MARGIN: Final = 10
ENOUGH: Final = 2


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    """One result: when, about how many in a hundred, where on the drawing."""

    at: datetime
    count: int
    words: str
    tone: str
    label: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Points from old to new, the line through them, and the rows of the scale."""

    points: tuple[TimelinePoint, ...]
    line: str
    scale: tuple[int, ...]


def timeline(analyses: Iterable[Analysis]) -> Timeline | None:
    """Draw the completed analyses by their dates; None for fewer than two."""
    done = sorted((a for a in analyses if a.result is not None), key=lambda a: a.created_at)
    if len(done) < ENOUGH:
        return None
    first, last = done[0].created_at, done[-1].created_at
    span = max((last - first).total_seconds(), 1.0)
    points = []
    for analysis in done:
        result = analysis.result
        if result is None:
            continue
        share = (analysis.created_at - first).total_seconds() / span
        count = wording.per_hundred(result.p_malignant)
        outcome = wording.outcome_of(result.category)
        points.append(
            TimelinePoint(
                at=analysis.created_at,
                count=count,
                words=wording.in_hundred(result.p_malignant),
                tone=outcome.tone,
                label=str(outcome.short),
                x=round(MARGIN + share * (WIDTH - 2 * MARGIN)),
                y=_height(count),
            )
        )
    line = "M" + "L".join(f"{p.x} {p.y}" for p in points)
    return Timeline(tuple(points), line, tuple(_height(value) for value in (100, 50, 0)))


def _height(count: int) -> int:
    return round(HEIGHT - MARGIN - count / 100 * (HEIGHT - 2 * MARGIN))
