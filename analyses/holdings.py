"""What is kept at this moment, and whether anything is kept that should be gone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from analyses import storage, tombstones
from analyses.models import Analysis, Lesion, Result, Review, Tombstone
from analyses.models.analysis import TERMINAL

if TYPE_CHECKING:
    import uuid
    from datetime import datetime

    from analyses.models.analysis import AnalysisQuerySet


@dataclass(frozen=True, slots=True)
class Records:
    """How many records of each kind there are."""

    accounts: int
    lesions: int
    analyses: int
    results: int
    reviews: int
    tombstones: int
    pictures: int
    pictures_held: int


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What should not be; every number must be zero."""

    files_without_analysis: int
    unfinished_files: int
    keys_without_file: int
    holds_past_their_end: int
    pictures_not_proved_deleted: int
    results_without_analysis: int
    results_past_retention: int
    tombstones_not_in_the_file: int
    records_that_a_tombstone_names: int

    @property
    def total(self) -> int:
        """Their sum."""
        return sum(asdict(self).values())


@dataclass(frozen=True, slots=True)
class Holdings:
    """The whole account. `oldest_picture` is when the oldest stored picture was written."""

    records: Records
    oldest_picture: datetime | None
    leftovers: Leftovers


def take_stock() -> Holdings:
    """Count everything. What `reconcile` mends within its next runs is not counted as left over.

    Files and rows change while they are read, so what seems to be left over is looked at again.
    Raises `tombstones.TombstoneFileError`.
    """
    stored = dict(storage.stored())
    keyed = set(_keyed().values_list("pk", flat=True))
    # An upload writes its file before its row, so a young file may still be waiting for it.
    grace = timezone.now() - timedelta(seconds=2 * settings.RECONCILE_AFTER)
    held = Analysis.objects.filter(status__in=TERMINAL, image_key__isnull=False)
    unproved = Analysis.objects.filter(
        status__in=TERMINAL, image_key__isnull=True, image_purged_at__isnull=True
    )
    return Holdings(
        records=Records(
            accounts=User.objects.count(),
            lesions=Lesion.objects.count(),
            analyses=Analysis.objects.count(),
            results=Result.objects.count(),
            reviews=Review.objects.count(),
            tombstones=Tombstone.objects.count(),
            pictures=len(stored),
            pictures_held=held.count(),
        ),
        oldest_picture=min(stored.values(), default=None),
        leftovers=Leftovers(
            files_without_analysis=sum(
                _is_orphan(pk) for pk, at in stored.items() if pk not in keyed and at < grace
            ),
            unfinished_files=storage.count_drafts(older_than=grace),
            keys_without_file=sum(_lacks_its_file(pk) for pk in keyed - stored.keys()),
            holds_past_their_end=held.filter(
                Q(held_until__lt=grace) | Q(held_until__isnull=True)
            ).count(),
            pictures_not_proved_deleted=unproved.filter(completed_at__lt=grace).count(),
            results_without_analysis=Result.objects.filter(analysis__isnull=True).count(),
            results_past_retention=_past_retention(),
            tombstones_not_in_the_file=tombstones.unfiled().filter(at__lt=grace).count(),
            records_that_a_tombstone_names=sum(tombstones.still_there().values()),
        ),
    )


def _keyed() -> AnalysisQuerySet:
    return Analysis.objects.filter(image_key__isnull=False)


def _lacks_its_file(pk: uuid.UUID) -> bool:
    """Whether the row has a key and no file. In this order: the key goes before the file."""
    return not storage.size(pk) and _keyed().filter(pk=pk).exists()


def _is_orphan(pk: uuid.UUID) -> bool:
    """Whether the file is there and no row has its key. In this order: the file comes first."""
    return bool(storage.size(pk)) and not _keyed().filter(pk=pk).exists()


def _past_retention() -> int:
    if settings.RETENTION_DAYS is None:
        return 0
    # The daily run may be up to a day away.
    limit = timezone.now() - timedelta(days=settings.RETENTION_DAYS + 1)
    return Analysis.objects.filter(status__in=TERMINAL, created_at__lt=limit).count()
