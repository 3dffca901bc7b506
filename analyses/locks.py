"""The order in which rows are locked, so that no two acts wait for each other for ever.

First the accounts (`accounts.locks`), then their sharings, lesions and analyses, each kind by id,
and last the end of the trail: `record` locks that until the commit, so whatever an act deletes or
refers to it locks before it leaves its first trace. A reference counts: PostgreSQL looks at it, and
waits, at the commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q

from accounts.care.models import CareRelationship
from analyses.models import Analysis, Lesion

if TYPE_CHECKING:
    import uuid

    from accounts.models import User
    from analyses.models.analysis import AnalysisQuerySet


def whole_record(owner: User) -> None:
    """Lock all that hangs on an account, whose own row the caller holds."""
    parties = Q(patient=owner) | Q(dermatologist=owner)
    shares = CareRelationship.objects.select_for_update().filter(parties)
    list(shares.order_by("pk").values_list("pk"))
    lesions = Lesion.objects.select_for_update().filter(owner=owner)
    list(lesions.order_by("pk").values_list("pk"))
    these(Analysis.objects.filter(owner=owner))


def these(analyses: AnalysisQuerySet) -> list[uuid.UUID]:
    """Lock `analyses`; return their ids as they are then."""
    locked = analyses.select_for_update().order_by("pk")
    return list(locked.values_list("pk", flat=True))


def lesion_to_refer_to(lesion: Lesion | None) -> Lesion | None:
    """Keep a lesion from being deleted until the commit; None where it was deleted already."""
    if lesion is None:
        return None
    return Lesion.objects.select_for_update(no_key=True).filter(pk=lesion.pk).first()
