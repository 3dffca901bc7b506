"""What must go when a record goes: its picture and its result."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver

from analyses import storage
from analyses.models import Analysis, Result


@receiver(post_delete, sender=Analysis)
def delete_what_belonged_to_it(instance: Analysis, **_: Any) -> None:
    """Delete the result in the same transaction and the stored picture after it."""
    if instance.result_id is not None:
        Result.objects.filter(id=instance.result_id).delete()
    analysis_id = instance.pk
    transaction.on_commit(lambda: storage.delete(analysis_id), robust=True)
