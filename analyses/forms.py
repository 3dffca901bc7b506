"""The upload form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from analyses import quota, wording
from analyses.exceptions import TooManyLesionsError
from analyses.models import BodySite, HoldKind, Lesion
from inference_worker.verdict import ImageType

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

    from accounts.models import User

ACCEPT: Final = "image/jpeg,image/png,image/webp,image/tiff,image/heic,image/heif"
NEW_LESION: Final = "new"


class PicturesInput(forms.FileInput):
    """A file input for one or several pictures."""

    allow_multiple_selected = True


class PicturesField(forms.FileField):
    """Several files under one name. Each is judged by intake, not here: an empty one too."""

    widget = PicturesInput

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[Any]]:  # noqa: ARG002 - Django's signature
        """Return the files that came, possibly none."""
        files = data if isinstance(data, list | tuple) else [data]
        return [file for file in files if file]


class UploadForm(forms.Form):
    """One or several photos of one lesion, and what may happen to them."""

    image = PicturesField(
        label=_("Choose photo"),
        required=False,
        widget=PicturesInput(attrs={"accept": ACCEPT, "multiple": True}),
    )
    camera = forms.FileField(
        label=_("Take photo"),
        required=False,
        allow_empty_file=True,
        widget=forms.FileInput(attrs={"accept": "image/*", "capture": "environment"}),
    )
    image_type = forms.ChoiceField(
        label=_("How was the photo taken?"),
        choices=[
            (ImageType.DERMOSCOPIC.value, _("Through a dermatoscope")),
            (ImageType.CLINICAL.value, _("With a phone or camera only")),
        ],
        initial=ImageType.DERMOSCOPIC.value,
        widget=forms.RadioSelect,
    )
    lesion = forms.ChoiceField(label=_("Which mole or mark is it?"), required=False)
    new_lesion = forms.CharField(
        label=_("Name of the new one"),
        help_text=_(
            "Words by which you will know it again, such as “left shoulder, the dark one”."
        ),
        required=False,
        max_length=80,
    )
    body_site = forms.ChoiceField(
        label=_("Where on the body?"), choices=BodySite.choices, required=False
    )
    hold_kind = forms.ChoiceField(
        label=_("What may happen to the photo afterwards?"),
        choices=[(choice.kind, choice.title) for choice in wording.HOLD_CHOICES],
        initial=HoldKind.NONE.value,
        required=False,
        widget=forms.RadioSelect,
    )
    idempotency_key = forms.CharField(max_length=60, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owner = owner
        own = [(str(lesion.pk), lesion.name) for lesion in Lesion.objects.filter(owner=owner)]
        self.fields["lesion"].choices = [  # type: ignore[attr-defined]
            ("", _("I do not follow it yet")),
            *own,
            (NEW_LESION, _("A new one, to follow over time")),
        ]
        self.has_lesions = bool(own)

    @property
    def hold_options(self) -> list[dict[str, Any]]:
        """The choices about the photo's fate with their explanations."""
        chosen = str(self["hold_kind"].value() or "")
        return [
            {
                "id": f"id_hold_kind_{i}",
                "value": choice.kind,
                "title": choice.title,
                "text": str(choice.text) % {"days": settings.REVIEW_HOLD_DAYS},
                "checked": chosen == choice.kind,
            }
            for i, choice in enumerate(wording.HOLD_CHOICES)
        ]

    def clean(self) -> dict[str, Any]:
        """Gather the files of both inputs; ask for a name where a lesion is to be new."""
        data = super().clean() or {}
        camera = data.get("camera")
        data["files"] = [*(data.get("image") or []), *([camera] if camera is not None else [])]
        if not data["files"]:
            self.add_error("image", _("Choose a photo to send."))
        if data.get("lesion") == NEW_LESION:
            self._check_new(str(data.get("new_lesion") or "").strip())
        return data

    def _check_new(self, name: str) -> None:
        if not name:
            self.add_error("new_lesion", _("Give the new one a name, or choose another answer."))
        elif not Lesion.objects.filter(owner=self.owner, name=name).exists():
            try:
                quota.check_lesions(self.owner)
            except TooManyLesionsError as error:
                self.add_error("new_lesion", error.message)

    def existing_lesion(self) -> Lesion | None:
        """Return the person's lesion that was chosen, None for none or a new one."""
        chosen = self.cleaned_data["lesion"]
        if not chosen or chosen == NEW_LESION:
            return None
        return Lesion.objects.filter(owner=self.owner, pk=chosen).first()

    def new_lesion_name(self) -> str:
        """Return the name of the lesion to create, "" for none."""
        if self.cleaned_data["lesion"] != NEW_LESION:
            return ""
        return str(self.cleaned_data["new_lesion"]).strip()
