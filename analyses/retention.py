"""Delete results when their time is over, where the installation sets a time."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.audit.chain import record
from accounts.audit.models import Action
from analyses.models import Analysis
from analyses.models.analysis import TERMINAL

if TYPE_CHECKING:
    import uuid

BATCH: Final = 500  # looked for at once
LONGEST: Final = 40.0  # s a run: the rest follows with the next
logger = logging.getLogger(__name__)


def apply() -> int:
    """Delete ended analyses older than `RETENTION_DAYS`, pictures included; return how many."""
    if settings.RETENTION_DAYS is None:
        return 0
    limit = timezone.now() - timedelta(days=settings.RETENTION_DAYS)
    old = Analysis.objects.filter(status__in=TERMINAL, created_at__lt=limit).order_by("created_at")
    deleted, started = 0, time.monotonic()
    while pks := list(old.values_list("pk", flat=True)[:BATCH]):
        deleted += sum(_delete(pk) for pk in pks)
        if time.monotonic() - started > LONGEST:
            break
    if deleted:
        logger.info("retention deleted %d analyses", deleted)
    return deleted


def _delete(pk: uuid.UUID) -> bool:
    """Delete one analysis; return whether it was there: its owner may have deleted it meanwhile."""
    with transaction.atomic():
        # Before the trail, as `analyses.locks` says.
        analysis = Analysis.objects.select_for_update().filter(pk=pk).first()
        if analysis is None:
            return False
        record(
            Action.DELETED,
            actor=None,
            subject_id=analysis.owner_id,
            object_type="analysis",
            object_id=str(analysis.pk),
            details={"reason": "retention"},
        )
        analysis.delete()
    return True
