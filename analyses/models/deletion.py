"""Proof that an image is gone."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from analyses.models.analysis import Analysis


class DeletionEvent(models.Model):
    """One image deleted: when and why. Holds nothing of the image."""

    class Reason(models.TextChoices):
        TERMINAL = "terminal", "The analysis had ended"
        HOLD_ENDED = "hold_ended", "The review hold had ended"
        ERASED = "erased", "The person erased the record"

    analysis = models.ForeignKey(Analysis, on_delete=models.CASCADE, related_name="deletions")
    reason = models.CharField(max_length=16, choices=Reason.choices)
    size_bytes = models.PositiveBigIntegerField(default=0)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["at"]

    def __str__(self) -> str:
        return f"{self.analysis_id} {self.reason}"
