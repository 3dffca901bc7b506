"""Delete results when their time is over, where the installation sets a time."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.audit.chain import record
from accounts.audit.models import Action
from analyses.models import Analysis
from analyses.models.analysis import TERMINAL

BATCH: Final = 500  # a run: the rest follows with the next
logger = logging.getLogger(__name__)


def apply() -> int:
    """Delete ended analyses older than `RETENTION_DAYS`, pictures included; return how many."""
    if settings.RETENTION_DAYS is None:
        return 0
    limit = timezone.now() - timedelta(days=settings.RETENTION_DAYS)
    old = Analysis.objects.filter(status__in=TERMINAL, created_at__lt=limit).order_by("created_at")
    deleted = 0
    for pk in list(old.values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            # Before the trail, as `analyses.locks` says; its owner may have deleted it meanwhile.
            analysis = Analysis.objects.select_for_update().filter(pk=pk).first()
            if analysis is None:
                continue
            record(
                Action.DELETED,
                actor=None,
                subject_id=analysis.owner_id,
                object_type="analysis",
                object_id=str(analysis.pk),
                details={"reason": "retention"},
            )
            analysis.delete()
        deleted += 1
    if deleted:
        logger.info("retention deleted %d analyses", deleted)
    return deleted
