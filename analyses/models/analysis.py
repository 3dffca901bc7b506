"""One photo on its way to a result, and the states that the database lets it have."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from accounts.care.models import CareRelationship
from analyses.models.lesion import BodySite, Lesion
from analyses.models.result import Result
from inference_worker.verdict import ImageType, Stage

if TYPE_CHECKING:
    from accounts.models import User
from analyses.formats import Format


class Status(models.TextChoices):
    """The technical state. The clinical one is `Result.category`."""

    QUEUED = "QUEUED", _("Waiting")
    RUNNING = "RUNNING", _("Being analysed")
    COMPLETED = "COMPLETED", _("Finished")
    REJECTED = "REJECTED", _("Photo not usable")
    FAILED = "FAILED", _("Not analysed")
    # The person asked that no computer judge the photo: it ends here, and no worker sees it.
    HUMAN_ONLY = "HUMAN_ONLY", _("Left to a human")


TERMINAL = (Status.COMPLETED, Status.REJECTED, Status.FAILED, Status.HUMAN_ONLY)
PENDING = (Status.QUEUED, Status.RUNNING)


class FailureCode(models.TextChoices):
    """Why an analysis ended without a result though the photo may be fine."""

    TIME_LIMIT = "time_limit", _("The analysis took too long")
    OUT_OF_MEMORY = "out_of_memory", _("The computer ran out of memory")
    TOO_MANY_ATTEMPTS = "too_many_attempts", _("The analysis stopped several times")
    IMAGE_UNAVAILABLE = "image_unavailable", _("The photo could not be read back")
    MODEL_UNAVAILABLE = "model_unavailable", _("The model could not be loaded")
    MODEL_ERROR = "model_error", _("The model did not give a usable answer")


class HoldKind(models.TextChoices):
    """What the person agreed to: keep the photo for a dermatologist, and when."""

    NONE = "", _("Delete the photo after the analysis")
    GATE_DEFERRED = "gate_deferred", _("Keep it if the computer cannot tell")
    HUMAN_REQUESTED = "human_requested", _("Keep it, I ask for a human")
    HUMAN_ONLY = "human_only", _("Keep it for a human, and leave the computer out")


class AnalysisQuerySet(models.QuerySet["Analysis"]):
    """Analyses, and who may see them."""

    def visible_to(self, user: User) -> AnalysisQuerySet:
        """The user's own, and what patients share with a dermatologist, within the scope given.

        An administrator sees no clinical content but what is their own.
        """
        if not user.is_dermatologist:
            return self.filter(owner=user)
        grants = CareRelationship.objects.granting(user).filter(patient=OuterRef("owner"))
        scope = CareRelationship.Scope
        return self.filter(
            Q(owner=user)
            | Exists(grants.filter(scope=scope.EVERYTHING))
            | Exists(
                grants.filter(scope=scope.FROM_NOW_ON, consented_at__lte=OuterRef("created_at"))
            )
        )

    def pending(self) -> AnalysisQuerySet:
        """Those that have not ended."""
        return self.filter(status__in=PENDING)


class Analysis(models.Model):
    """One accepted upload. It ends exactly once: in a result, a rejection or a named failure.

    One that is left to a human has ended, for the machine, when it is accepted.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="analyses"
    )
    lesion = models.ForeignKey(
        Lesion, on_delete=models.SET_NULL, null=True, blank=True, related_name="analyses"
    )
    body_site = models.CharField(
        _("body site"), max_length=20, choices=BodySite.choices, blank=True, default=""
    )
    image_type = models.CharField(
        max_length=16,
        choices=[
            (ImageType.DERMOSCOPIC.value, _("Dermoscopic (taken through a dermatoscope)")),
            (ImageType.CLINICAL.value, _("Ordinary photo")),
        ],
        default=ImageType.DERMOSCOPIC.value,
    )
    # SHA-256 of the file as it came, so that a dropped copy can be matched in the browser.
    sha256 = models.CharField(max_length=64)
    # What the upload was, by its content: HEIC and TIFF need a preview, browsers cannot draw them.
    source_format = models.CharField(
        max_length=8, choices=[(f.value, f.value) for f in Format], default=Format.JPEG.value
    )
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    idempotency_key = models.CharField(max_length=80, null=True, blank=True)  # noqa: DJ001 - null is distinct under the unique constraint

    status = models.CharField(max_length=12, choices=Status.choices, default=Status.QUEUED)
    stage = models.CharField(
        max_length=16, choices=[(s.value, s.value) for s in Stage], blank=True, default=""
    )
    error_code = models.CharField(max_length=40, blank=True, default="")
    quality = models.JSONField(null=True, blank=True)
    result = models.OneToOneField(
        Result, on_delete=models.PROTECT, null=True, blank=True, related_name="analysis"
    )

    attempts = models.PositiveSmallIntegerField(default=0)
    # How many of these are not held against the photo: the first where it was made together with
    # other photos, because what ended it says nothing of which photo it was; and those that ended
    # because the database was away.
    uncounted_attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    enqueued_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    # Which worker process holds the claim; see `analyses.leases`.
    claimed_by = models.CharField(max_length=40, blank=True, default="")
    completed_at = models.DateTimeField(null=True, blank=True)

    # The photo's own key, wrapped by the master key. Without it the stored bytes are noise.
    image_key = models.BinaryField(null=True, blank=True)
    image_purged_at = models.DateTimeField(null=True, blank=True)
    hold_kind = models.CharField(max_length=20, choices=HoldKind.choices, blank=True, default="")
    hold_consented_at = models.DateTimeField(null=True, blank=True)
    hold_wording_version = models.CharField(max_length=32, blank=True, default="")
    held_until = models.DateTimeField(null=True, blank=True)

    objects = AnalysisQuerySet.as_manager()

    class Meta:
        verbose_name = _("analysis")
        verbose_name_plural = _("analyses")
        ordering: ClassVar = ["-created_at", "id"]
        indexes: ClassVar = [
            models.Index(fields=["owner", "-created_at"], name="analysis_history"),
            models.Index(fields=["status", "enqueued_at"], name="analysis_reconcile"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="analysis_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status=Status.COMPLETED, result__isnull=False)
                | (~Q(status=Status.COMPLETED) & Q(result__isnull=True)),
                name="analysis_completed_has_a_result",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[Status.REJECTED, Status.FAILED], error_code__gt="")
                | (~Q(status__in=[Status.REJECTED, Status.FAILED]) & Q(error_code="")),
                name="analysis_refusal_is_named",
            ),
            models.CheckConstraint(
                condition=Q(status__in=TERMINAL, completed_at__isnull=False)
                | (Q(status__in=PENDING) & Q(completed_at__isnull=True)),
                name="analysis_terminal_has_an_end",
            ),
            models.CheckConstraint(
                condition=Q(status__in=PENDING)
                | Q(image_key__isnull=True)
                | (Q(held_until__isnull=False) & ~Q(hold_kind="")),
                name="analysis_terminal_has_no_image_key",
            ),
            models.CheckConstraint(
                condition=Q(status__in=PENDING, image_key__isnull=False) | ~Q(status__in=PENDING),
                name="analysis_pending_has_an_image_key",
            ),
            models.CheckConstraint(
                condition=Q(hold_kind="") | Q(hold_consented_at__isnull=False),
                name="analysis_hold_has_a_consent",
            ),
            models.CheckConstraint(
                condition=Q(status=Status.HUMAN_ONLY, hold_kind=HoldKind.HUMAN_ONLY)
                | (~Q(status=Status.HUMAN_ONLY) & ~Q(hold_kind=HoldKind.HUMAN_ONLY)),
                name="analysis_human_only_is_asked_for",
            ),
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"], name="analysis_idempotent_per_owner"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_terminal(self) -> bool:
        """Whether the analysis has ended."""
        return self.status in TERMINAL
