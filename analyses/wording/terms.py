"""The field's terms in plain words: classes, measurements, stages, photo quality."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy as _

from inference_worker.verdict import Gate, ImageType, Stage

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

CLASS_NAMES: Final[dict[str, tuple[StrOrPromise, StrOrPromise]]] = {
    "mel": (_("Melanoma"), _("skin cancer from pigment cells")),
    "bcc": (_("Basal cell carcinoma"), _("the most common skin cancer; grows slowly")),
    "akiec": (
        _("Actinic keratosis or Bowen’s disease"),
        _("sun damage or an early cancer of the upper skin"),
    ),
    "nv": (_("Mole (naevus)"), _("a common growth of pigment cells")),
    "bkl": (_("Benign keratosis"), _("age spot or wart-like growth")),
    "df": (_("Dermatofibroma"), _("a firm, small knot of the skin")),
    "vasc": (_("Vascular lesion"), _("a growth of blood vessels")),
}
"""The classes of HAM10000, the malignant ones first: name, and what it is in a few words."""

IMAGE_TYPES: Final[dict[str, StrOrPromise]] = {
    ImageType.DERMOSCOPIC.value: _("Dermoscopic photo"),
    ImageType.CLINICAL.value: _("Ordinary photo"),
}

STAGES: Final[dict[Stage, StrOrPromise]] = {
    Stage.QUALITY: _("Checking the photo’s quality"),
    Stage.PREPROCESSING: _("Cleaning up: dark corners, hair, contrast"),
    Stage.SEGMENTATION: _("Finding the lesion’s outline"),
    Stage.ENSEMBLE: _("Asking the five models"),
    Stage.HEATMAP: _("Drawing where they looked"),
}

MEASUREMENTS: Final[dict[str, tuple[StrOrPromise, StrOrPromise]]] = {
    "asymmetry": (
        _("Asymmetry"),
        _("How much of the shape does not match when it is folded in half. 0 means it matches."),
    ),
    "border": (
        _("Border"),
        _("How irregular the edge is. 1 is a circle; more is more ragged."),
    ),
    "colours": (
        _("Colours"),
        _("How many of six are seen: white, red, light brown, dark brown, blue-grey, black."),
    ),
    "diameter_px": (
        _("Longest diameter"),
        _("In pixels of your photo. Without a ruler in it, that says nothing in millimetres."),
    ),
    "area_share": (
        _("Share of the picture"),
        _("How much of the picture the lesion fills."),
    ),
}

QUALITY_NOTES: Final[dict[str, StrOrPromise]] = {
    "hair": _("Hair lies over the lesion; it was removed for the analysis."),
    "corners": _("The corners are dark; they were filled in for the analysis."),
    "ruler": _("A ruler can be seen in the picture."),
    "ink": _("There are ink marks in the picture."),
    "touches_edge": _("The lesion reaches the edge of the picture, so a part may be missing."),
}


def gate_name(gate: str) -> StrOrPromise:
    """Return the name of the decision rule."""
    if gate == Gate.RISK_CONTROLLED:
        return _("risk-controlled threshold")
    return _("fixed threshold")
