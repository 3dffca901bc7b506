"""Delete pictures, in an order that a killed process cannot spoil: key, file, proof.

The key goes in a transaction, then the file, then the proof is written. Whatever is cut off in
between is found by `reconcile`, because the proof is missing.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from analyses import storage
from analyses.models import Analysis, DeletionEvent
from analyses.models.analysis import TERMINAL

if TYPE_CHECKING:
    import uuid

    from analyses.models.analysis import AnalysisQuerySet

logger = logging.getLogger(__name__)


def forget(analyses: AnalysisQuerySet, reason: DeletionEvent.Reason) -> None:
    """Forget the keys of those that have ended, in the caller's transaction.

    The files follow its commit.
    """
    kept = analyses.filter(status__in=TERMINAL, image_key__isnull=False)
    ids = list(kept.values_list("id", flat=True))
    Analysis.objects.filter(id__in=ids).update(image_key=None, held_until=None)
    for analysis_id in ids:
        transaction.on_commit(partial(remove_image, analysis_id, reason=reason), robust=True)


def purge(analysis: Analysis, reason: DeletionEvent.Reason) -> bool:
    """Delete the picture of an analysis that has ended; False when there was none to delete."""
    forgotten = Analysis.objects.filter(id=analysis.id, status__in=TERMINAL).update(
        image_key=None, held_until=None
    )
    return bool(forgotten) and remove_image(analysis.id, reason=reason)


def remove_image(analysis_id: uuid.UUID, *, reason: DeletionEvent.Reason) -> bool:
    """Remove the file of an analysis whose key is gone, and write the proof once.

    False when the proof stands already, or when the store refuses: `reconcile` tries again.
    """
    size = 0
    try:
        size = storage.size(analysis_id)
        storage.delete(analysis_id)
    except OSError:
        logger.exception("the picture of %s could not be removed yet", analysis_id)
        return False
    with transaction.atomic():
        proved = Analysis.objects.filter(
            id=analysis_id, image_key__isnull=True, image_purged_at__isnull=True
        ).update(image_purged_at=timezone.now())
        if proved:
            DeletionEvent.objects.create(analysis_id=analysis_id, reason=reason, size_bytes=size)
    return bool(proved)
