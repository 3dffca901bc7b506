"""How much one person may send: so many photos a day, so many waiting or kept, so many lesions.

Whose photo is next is another question: see `analyses.turns`.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.utils import timezone

from accounts import locks
from accounts.audit.models import Action, AuditEvent
from analyses.exceptions import (
    QuotaExceededError,
    TooManyHeldError,
    TooManyLesionsError,
    TooManyPendingError,
)
from analyses.models import Analysis, Lesion

if TYPE_CHECKING:
    from accounts.models import User

WINDOW: Final = timedelta(days=1)
LOOK_AGAIN: Final = 60  # s


def take_place(owner: User, *, held: bool = False) -> None:
    """Check again, with the person's uploads in a row; the caller's transaction takes the place.

    Two requests at one moment would each count without the other. Raises what `check` raises.
    """
    locks.keep(owner.pk)
    check(owner, held=held)


def check(owner: User, *, held: bool = False) -> None:
    """Refuse one photo more than allowed; a limit of 0 is none. `held`: it may be kept for a human.

    Uploads are counted in the trail: deleting an analysis gives nothing back. Raises
    `QuotaExceededError`, `TooManyPendingError`, `TooManyHeldError`.
    """
    kept: int = settings.MAX_HELD_PER_USER if held else 0
    if kept:
        waiting = Analysis.objects.filter(owner=owner).exclude(hold_kind="")
        # What is under way may be kept as well.
        if waiting.filter(image_key__isnull=False).count() >= kept:
            raise TooManyHeldError(limit=kept, retry_after=LOOK_AGAIN)
    pending: int = settings.MAX_PENDING_PER_USER
    if pending and Analysis.objects.filter(owner=owner).pending().count() >= pending:
        raise TooManyPendingError(limit=pending, retry_after=LOOK_AGAIN)
    daily: int = settings.UPLOADS_PER_DAY
    if not daily:
        return
    now = timezone.now()
    sent = AuditEvent.objects.filter(
        actor_id=owner.pk, action=Action.UPLOADED, at__gt=now - WINDOW
    ).order_by("-id")
    oldest_that_counts = sent.values_list("at", flat=True)[daily - 1 : daily].first()
    if oldest_that_counts is not None:
        wait = math.ceil((oldest_that_counts + WINDOW - now).total_seconds())
        raise QuotaExceededError(limit=daily, retry_after=max(wait, 1))


def check_lesions(owner: User) -> None:
    """Refuse one lesion more than a person may follow; 0 is no limit. Raises `TooManyLesionsError`.

    To hold among requests at one moment, call it after `locks.keep`.
    """
    most: int = settings.LESIONS_PER_USER
    if most and Lesion.objects.filter(owner=owner).count() >= most:
        raise TooManyLesionsError(limit=most)
