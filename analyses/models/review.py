"""A dermatologist's opinion, written before the model's is shown, and its earlier versions."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from analyses.models.analysis import Analysis
from analyses.models.result import CATEGORIES
from inference_worker.verdict import Category

NOTE_MAX_LENGTH = 2000


class Opinion(models.TextChoices):
    """What the dermatologist sees, in the categories of the product."""

    BENIGN = Category.BENIGN.value, _("Benign")
    SUSPICIOUS = Category.SUSPICIOUS.value, _("Cannot tell from the photo")
    MALIGNANT = Category.MALIGNANT.value, _("Suspected skin cancer, not melanoma")
    MELANOMA = Category.MELANOMA.value, _("Suspected melanoma")


class Advice(models.TextChoices):
    """What the patient should do now."""

    WATCH = "watch", _("Keep watching it, and come back if it changes")
    APPOINTMENT = "appointment", _("Make an appointment to have it looked at")
    SOON = "soon", _("See a dermatologist within two weeks")


class ReviewQuerySet(models.QuerySet["Review"]):
    """Reviews and their versions."""

    def current(self) -> ReviewQuerySet:
        """The newest version of each."""
        return self.filter(superseded_by__isnull=True)


class Review(models.Model):
    """One version of one opinion. Amending writes a new row; the earlier one stays."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    analysis = models.ForeignKey(Analysis, on_delete=models.CASCADE, related_name="reviews")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="reviews"
    )
    # Kept with the opinion when the author's account goes.
    author_name = models.CharField(max_length=120)
    opinion = models.CharField(_("opinion"), max_length=12, choices=Opinion.choices)
    advice = models.CharField(_("advice"), max_length=12, choices=Advice.choices)
    note = models.TextField(_("note to the patient"), max_length=NOTE_MAX_LENGTH, blank=True)
    # What the model had said, "" where it had not said anything; and whether the author knew it.
    model_category = models.CharField(max_length=12, choices=CATEGORIES, blank=True, default="")
    blind = models.BooleanField()
    saw_photo = models.BooleanField()
    supersedes = models.OneToOneField(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="superseded_by"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # When a letter was written that tells the patient of it; see `analyses.notices`.
    notified_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ReviewQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(opinion__in=Opinion.values), name="review_opinion_known"
            ),
            models.CheckConstraint(
                condition=Q(advice__in=Advice.values), name="review_advice_known"
            ),
            models.UniqueConstraint(
                fields=["analysis", "author"],
                condition=Q(supersedes__isnull=True),
                name="review_one_per_author",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def overrides_the_model(self) -> bool:
        """Whether the opinion differs from what the model had decided."""
        decided = self.model_category not in {"", Category.SUSPICIOUS.value}
        return decided and self.opinion != self.model_category


class Reveal(models.Model):
    """A dermatologist asked for the model's output before writing an opinion."""

    analysis = models.ForeignKey(Analysis, on_delete=models.CASCADE, related_name="reveals")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="reveals"
    )
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["analysis", "user"], name="reveal_once")
        ]

    def __str__(self) -> str:
        return f"{self.analysis_id} {self.user_id}"
