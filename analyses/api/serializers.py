"""What the API says of an analysis."""

from __future__ import annotations

from typing import Any, Final

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from analyses.models import Analysis, Result, Status
from analyses.models.analysis import TERMINAL
from analyses.reviews import opinion_comes_first
from inference_worker.verdict import CLASSES, Category, Gate, ImageType, Stage

# The ends that tell what came of the model's work; HUMAN_ONLY tells what the person asked for.
JUDGED: Final = frozenset(TERMINAL) - {Status.HUMAN_ONLY}


class VotesSerializer(serializers.Serializer[dict[str, int]]):
    """Member × view opinions per category."""

    benign = serializers.IntegerField()
    suspicious = serializers.IntegerField()
    malignant = serializers.IntegerField()
    melanoma = serializers.IntegerField()


class MemberSerializer(serializers.Serializer[dict[str, float]]):
    """One member's own opinion."""

    p_malignant = serializers.FloatField()


class BundleSerializer(serializers.Serializer[Result]):
    """Which model said so."""

    name = serializers.CharField(source="bundle_name")
    version = serializers.CharField(source="bundle_version")
    sha256 = serializers.CharField(source="bundle_sha256")


class MeasurementsSerializer(serializers.Serializer[dict[str, float]]):
    """ABCD measurements; see the Model page for their meaning."""

    area_share = serializers.FloatField()
    asymmetry = serializers.FloatField()
    border = serializers.FloatField()
    colours = serializers.IntegerField()
    diameter_px = serializers.FloatField()


class QualitySerializer(serializers.Serializer[dict[str, Any]]):
    """What was measured of the photo."""

    short_side = serializers.IntegerField()
    sharpness = serializers.FloatField()
    brightness = serializers.FloatField()
    ood_distance = serializers.FloatField(allow_null=True)
    ood_limit = serializers.FloatField(allow_null=True)
    notes = serializers.ListField(child=serializers.CharField())


@extend_schema_field(
    {
        "type": "object",
        "properties": {name: {"type": "number", "nullable": True} for name in CLASSES},
    }
)
class ProbabilitiesField(serializers.Field[dict[str, float], Any, dict[str, float | None], Any]):
    """The seven classes; null for one that the bundle does not know."""

    def to_representation(self, value: dict[str, float]) -> dict[str, float | None]:
        """Name all seven."""
        return {name: value.get(name) for name in CLASSES}


def _of_result(field: str, **options: Any) -> dict[str, Any]:
    return {"source": f"result.{field}", "allow_null": True, "read_only": True, **options}


class AnalysisSerializer(serializers.Serializer[Analysis]):
    """One analysis. What it does not have (yet), or its bundle lacks, is null."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(
        Status.choices,
        help_text=(
            "As long as the reader's own opinion comes first, COMPLETED says only that the "
            "analysis has ended: in a result, a rejection or a failure."
        ),
    )
    stage = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField(
        help_text="Why the photo was rejected or the analysis failed: a stable code."
    )
    created_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField(allow_null=True)
    category = serializers.ChoiceField([c.value for c in Category], **_of_result("category"))
    decided = serializers.BooleanField(**_of_result("decided"))
    confidence = serializers.FloatField(**_of_result("confidence"))
    gate = serializers.ChoiceField([g.value for g in Gate], **_of_result("gate"))
    threshold = serializers.FloatField(**_of_result("threshold"))
    votes = VotesSerializer(**_of_result("votes"))
    image_type = serializers.ChoiceField([t.value for t in ImageType])
    held_until = serializers.DateTimeField(allow_null=True)
    p_melanoma = serializers.FloatField(**_of_result("p_melanoma"))
    p_malignant = serializers.FloatField(**_of_result("p_malignant"))
    probabilities = ProbabilitiesField(**_of_result("probabilities"))
    members = MemberSerializer(**_of_result("members", many=True))
    quality = QualitySerializer(allow_null=True)
    outline = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()),
        help_text="The lesion's polygon: (x, y) in shares of the upright photo's width and height.",
        **_of_result("outline"),
    )
    measurements = MeasurementsSerializer(**_of_result("measurements"))
    heatmap_url = serializers.SerializerMethodField()
    bundle = BundleSerializer(source="result", allow_null=True)
    image_purged_at = serializers.DateTimeField(allow_null=True)
    timings = serializers.DictField(
        child=serializers.FloatField(),
        help_text="Milliseconds per stage.",
        **_of_result("timings"),
    )

    def to_representation(self, analysis: Analysis) -> dict[str, Any]:
        """Leave the model's output out where the reader's own opinion is asked for first."""
        request = self.context.get("request")
        if request is not None and opinion_comes_first(request.user, analysis):
            _withhold(analysis)
        return super().to_representation(analysis)

    @extend_schema_field(serializers.ChoiceField([s.value for s in Stage], allow_null=True))
    def get_stage(self, analysis: Analysis) -> str | None:
        """Return the step that runs."""
        return analysis.stage or None

    def get_error(self, analysis: Analysis) -> str | None:
        """Return the code of a rejection or failure."""
        return analysis.error_code or None

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_heatmap_url(self, analysis: Analysis) -> str | None:
        """Return where the activation is drawn, null where there is none."""
        if analysis.result is None or analysis.result.heatmap is None:
            return None
        path = reverse("api-analysis-heatmap", args=[analysis.id])
        request = self.context.get("request")
        return request.build_absolute_uri(path) if request else path


def _withhold(analysis: Analysis) -> None:
    """Take off `analysis`, not off its row, what the model said, and that it said nothing."""
    analysis.result = analysis.quality = None
    analysis.error_code = ""
    if analysis.status in JUDGED:
        analysis.status = Status.COMPLETED
