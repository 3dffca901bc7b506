"""Whose photo is analysed next: one person after the other, one photo a round.

`enqueued_at` is a photo's place in the queue. Who is served goes to the end of it with all that
they still have waiting, so nobody waits behind more than one photo of each other person at a time,
however many that person sent. See decision 039.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.db.models import Max, Q, Subquery, Value, Window
from django.db.models.functions import Coalesce, FirstValue, Greatest, Now, RowNumber

from analyses.models import Analysis, Status

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable

    from analyses.models.analysis import AnalysisQuerySet

PLACE: Final = ("enqueued_at", "created_at", "id")
ORDER: Final = ("place", "created_at", "id")  # the same, where one may not have been sent yet
# SQLite's clock counts in these: who came in the same one as the served still came before.
TICK: Final = timedelta(milliseconds=1)


def next_one() -> uuid.UUID | None:
    """Return the photo whose turn it is; None when none waits that was sent to the workers."""
    return _sent().order_by(*PLACE).values_list("id", flat=True).first()


def next_ones(*, most: int) -> list[uuid.UUID]:
    """Return up to `most` photos that were never tried, each person's first before any second.

    They are locked until the transaction ends; one that somebody else has locked is left out.
    """
    new = _sent().filter(attempts=0).order_by(*PLACE).select_for_update(skip_locked=True)
    found: list[uuid.UUID] = []
    served: set[uuid.UUID] = set()
    while len(found) < most:
        free = new.exclude(id__in=found).exclude(owner__in=served)
        one = free.values_list("id", "owner_id").first()
        if one is not None:
            found.append(one[0])
            served.add(one[1])
        elif served:
            served.clear()  # everybody had their turn: once more around
        else:
            break
    return found


def pass_on(served: Iterable[uuid.UUID]) -> None:
    """Send to the end what else waits of the owners of `served`; nothing where nobody else waits.

    Waits for no lock: who is just being claimed, or sent, needs no new place.
    """
    owners = set(Analysis.objects.filter(id__in=served).values_list("owner_id", flat=True))
    theirs = _sent().filter(owner__in=owners)
    rest = list(theirs.select_for_update(skip_locked=True).values_list("id", flat=True))
    if rest and (len(owners) > 1 or _sent().exclude(owner__in=owners).exists()):
        # Behind the last also where that was sent there in this very tick.
        last = _sent().aggregate(last=Max("enqueued_at"))["last"]
        theirs.filter(id__in=rest).update(enqueued_at=Greatest(Now(), Value(last)) + TICK)


def position(analysis: Analysis) -> int:
    """Return the place in the queue, 1 for the next; 0 for one that no longer waits."""
    queued = Analysis.objects.filter(status=Status.QUEUED).annotate(
        place=Coalesce("enqueued_at", "created_at")
    )
    mine = queued.filter(owner=analysis.owner_id).order_by(*ORDER)
    own = list(mine.values_list("id", "created_at"))
    rounds = next((n for n, one in enumerate(own, start=1) if one[0] == analysis.pk), 0)
    if not rounds:
        return 0
    first, created_at = own[0]
    # Compared in the database: SQLite compares texts, and writes a time of its own shorter.
    place = Subquery(mine.values("place")[:1])
    turns: dict[str, Any] = {"partition_by": "owner", "order_by": ORDER}
    others = queued.exclude(owner=analysis.owner_id).annotate(
        turn=Window(RowNumber(), **turns),
        head_place=Window(FirstValue("place"), **turns),
        head_created_at=Window(FirstValue("created_at"), **turns),
        head_id=Window(FirstValue("id"), **turns),
    )
    # Who comes before this person is served once more than they are until it is this photo's turn.
    before = (
        Q(head_place__lt=place)
        | Q(head_place=place, head_created_at__lt=created_at)
        | Q(head_place=place, head_created_at=created_at, head_id__lt=first)
    )
    return rounds + others.filter(Q(turn__lt=rounds) | Q(turn=rounds) & before).count()


def _sent() -> AnalysisQuerySet:
    return Analysis.objects.filter(status=Status.QUEUED, enqueued_at__isnull=False)
