"""What the API takes: a photo to analyse, a lesion, a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from analyses import denials
from analyses.history import Filters
from analyses.models import BodySite, HoldKind, Lesion, Status
from inference_worker.verdict import Category, ImageType

if TYPE_CHECKING:
    from rest_framework.request import Request

    from accounts.models import User

# The words of consent that the field's description in the schema states.
HOLD_WORDING_VERSION: Final = "api-2"


class HoldField(serializers.Field[str, Any, str, Any]):
    """A kind of hold, or plainly true (`gate_deferred`) or false."""

    default_error_messages: ClassVar = {
        "invalid": "Say true, false, gate_deferred, human_requested or human_only.",
    }
    PLAIN: ClassVar = {
        "": HoldKind.NONE,
        "false": HoldKind.NONE,
        "0": HoldKind.NONE,
        "no": HoldKind.NONE,
        "true": HoldKind.GATE_DEFERRED,
        "1": HoldKind.GATE_DEFERRED,
        "yes": HoldKind.GATE_DEFERRED,
        HoldKind.GATE_DEFERRED.value: HoldKind.GATE_DEFERRED,
        HoldKind.HUMAN_REQUESTED.value: HoldKind.HUMAN_REQUESTED,
        HoldKind.HUMAN_ONLY.value: HoldKind.HUMAN_ONLY,
    }

    def to_internal_value(self, data: Any) -> str:
        """Return a value of `HoldKind`."""
        kind = self.PLAIN.get(str(data).strip().lower())
        if kind is None:
            self.fail("invalid")
        return kind.value

    def to_representation(self, value: str) -> str:
        """Return it as it is."""
        return value


def note_denied(request: Request, named: object) -> None:
    """Note it where a request names a record of somebody else; the answer is as if it was not."""
    asked = request._request  # noqa: SLF001 - the documented way to the request below
    denials.note_named(asked, cast("User", request.user), named)


class OwnLesionField(serializers.PrimaryKeyRelatedField[Lesion]):
    """A lesion of the person's own; another's does not exist, and to name it is a denial."""

    def to_internal_value(self, data: Any) -> Lesion:
        """Return it. Raises `ValidationError`."""
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            request = self.context.get("request")
            if request is not None and error.get_codes() == ["does_not_exist"]:
                note_denied(request, data)
            raise


class SubmissionSerializer(serializers.Serializer[Any]):
    """One photo to be analysed."""

    image = serializers.FileField(
        allow_empty_file=True,
        max_length=None,
        help_text="JPEG, PNG, WebP, TIFF or HEIC; at most 20 MB and 25 million pixels.",
    )
    lesion = OwnLesionField(
        queryset=Lesion.objects.none(), required=False, allow_null=True, help_text="A lesion's id."
    )
    body_site = serializers.ChoiceField(BodySite.choices, required=False, allow_blank=True)
    image_type = serializers.ChoiceField(
        [t.value for t in ImageType], default=ImageType.DERMOSCOPIC.value
    )
    hold_for_review = extend_schema_field(
        {"type": "string", "enum": ["true", "false", *(k for k in HoldKind.values if k)]}
    )(HoldField)(
        required=False,
        default="",
        help_text=(
            "Consent to keep the encrypted photo for a dermatologist until the review is written, "
            "at most seven days: gate_deferred (or true) only if the computer cannot tell; "
            "human_requested in any case; human_only in any case, and no model judges the photo: "
            "its status is HUMAN_ONLY from the start. Without it the photo is deleted after the "
            "analysis."
        ),
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Offer only the person's own lesions: another's does not exist."""
        fields = super().get_fields()
        request = self.context.get("request")
        if request is not None and request.user.is_authenticated:
            owner: User = request.user
            fields["lesion"].queryset = Lesion.objects.filter(owner=owner)  # type: ignore[attr-defined]
        return fields


class LesionSerializer(serializers.ModelSerializer[Lesion]):
    """A lesion that a person follows over time."""

    class Meta:
        model = Lesion
        fields = ("id", "name", "body_site", "created_at")
        read_only_fields = ("id", "created_at")

    def validate_name(self, name: str) -> str:
        """Names are unique for a person."""
        others = Lesion.objects.filter(owner=self.context["request"].user, name=name)
        if self.instance is not None:
            others = others.exclude(pk=self.instance.pk)
        if others.exists():
            raise serializers.ValidationError(
                "You already have a lesion of this name. Choose another.", code="unique"
            )
        return name


class FilterSerializer(serializers.Serializer[Any]):
    """Which analyses to list."""

    status = serializers.ChoiceField(Status.choices, required=False)
    category = serializers.ChoiceField([c.value for c in Category], required=False)
    lesion = serializers.UUIDField(required=False)
    image_type = serializers.ChoiceField([t.value for t in ImageType], required=False)
    created_from = serializers.DateTimeField(required=False, help_text="Included.")
    created_before = serializers.DateTimeField(required=False, help_text="Not included.")

    @classmethod
    def read(cls, query: Any) -> Filters:
        """Return the filters of a query string. Raises `ValidationError`."""
        asked = cls(data=query)
        asked.is_valid(raise_exception=True)
        return Filters(**asked.validated_data)
