"""The stored opinion of the model: numbers and shapes, never a picture."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from inference_worker.verdict import Category, Gate

CATEGORIES = [
    (Category.BENIGN.value, _("No signs of melanoma found")),
    (Category.SUSPICIOUS.value, _("The computer cannot tell")),
    (Category.MALIGNANT.value, _("Show this to a doctor soon")),
    (Category.MELANOMA.value, _("Show this to a doctor soon (melanoma)")),
]


class Result(models.Model):
    """What one completed analysis said. The fields are those of `inference_worker.verdict`."""

    category = models.CharField(max_length=12, choices=CATEGORIES)
    decided = models.BooleanField()
    confidence = models.FloatField()
    gate = models.CharField(max_length=20, choices=[(g.value, g.value) for g in Gate])
    threshold = models.FloatField()
    p_malignant = models.FloatField()
    p_melanoma = models.FloatField(null=True)
    probabilities = models.JSONField(default=dict)
    members = models.JSONField(default=list)
    votes = models.JSONField(default=dict)
    outline = models.JSONField(null=True)
    measurements = models.JSONField(null=True)
    heatmap = models.JSONField(null=True)
    timings = models.JSONField(default=dict)
    bundle_name = models.CharField(max_length=80)
    bundle_version = models.CharField(max_length=40)
    bundle_sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(category__in=[c.value for c in Category]),
                name="result_category_known",
            ),
            models.CheckConstraint(
                condition=models.Q(decided=False, category=Category.SUSPICIOUS.value)
                | (models.Q(decided=True) & ~models.Q(category=Category.SUSPICIOUS.value)),
                name="result_suspicious_means_deferred",
            ),
            models.CheckConstraint(
                condition=models.Q(p_malignant__gte=0, p_malignant__lte=1.000001),
                name="result_p_malignant_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return self.category
