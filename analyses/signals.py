"""What follows from what others do: a record takes its picture along, an end is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver

from accounts.care.signals import sharing_ended
from analyses import storage, tombstones
from analyses.models import Analysis, Result, Tombstone

if TYPE_CHECKING:
    import uuid


@receiver(post_delete, sender=Analysis)
def delete_what_belonged_to_it(instance: Analysis, **_: Any) -> None:
    """Delete the result in the same transaction and the stored picture after it."""
    if instance.result_id is not None:
        Result.objects.filter(id=instance.result_id).delete()
    analysis_id = instance.pk
    transaction.on_commit(lambda: storage.delete(analysis_id), robust=True)


@receiver(sharing_ended)
def remember_that_it_ended(relationship_id: uuid.UUID, **_: Any) -> None:
    """Leave a tombstone: a restored backup must not open the record again."""
    tombstones.bury(Tombstone.Kind.SHARING, relationship_id)
