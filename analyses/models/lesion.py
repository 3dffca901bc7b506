"""A lesion that a person follows over time."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, ClassVar

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from accounts.models import User


class BodySite(models.TextChoices):
    """Where on the body, in the terms of the ISIC Archive."""

    UNKNOWN = "", _("Not stated")
    HEAD_NECK = "head_neck", _("Head or neck")
    ORAL_GENITAL = "oral_genital", _("Mouth or genitals")
    ANTERIOR_TORSO = "anterior_torso", _("Chest or abdomen")
    POSTERIOR_TORSO = "posterior_torso", _("Back")
    LATERAL_TORSO = "lateral_torso", _("Side of the trunk")
    UPPER_EXTREMITY = "upper_extremity", _("Arm")
    LOWER_EXTREMITY = "lower_extremity", _("Leg")
    PALMS_SOLES = "palms_soles", _("Palm, sole or nail")


class LesionQuerySet(models.QuerySet["Lesion"]):
    """Lesions, and who may see them."""

    def visible_to(self, user: User) -> LesionQuerySet:
        """The user's own, and those with an analysis that a patient shares with them."""
        if not user.is_dermatologist:
            return self.filter(owner=user)
        analysis = apps.get_model("analyses", "Analysis")
        shared = analysis.objects.visible_to(user).filter(lesion=OuterRef("pk"))
        return self.filter(Q(owner=user) | Exists(shared))


class Lesion(models.Model):
    """One lesion of one person."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="lesions"
    )
    name = models.CharField(_("name"), max_length=80)
    body_site = models.CharField(
        _("body site"), max_length=20, choices=BodySite.choices, blank=True, default=""
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = LesionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name", "created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["owner", "name"], name="lesion_name_unique_per_owner"),
        ]

    def __str__(self) -> str:
        return self.name
