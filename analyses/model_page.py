"""The Model page: a bundle's own account of itself, read from its `bundle.json`."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from analyses import model_charts, wording

if TYPE_CHECKING:
    from pathlib import Path

    from django_stubs_ext import StrOrPromise

SCALE: Final = 1000  # units of a drawing's full width
_METRICS: Final[dict[str, tuple[StrOrPromise, StrOrPromise]]] = {
    "melanoma_auc": (
        gettext_lazy("Melanoma told from the rest (AUC)"),
        gettext_lazy(
            "How often a melanoma gets a higher number than another lesion, of two drawn at random."
        ),
    ),
    "melanoma_ap": (
        gettext_lazy("Melanoma, average precision"),
        gettext_lazy("How pure the list is when lesions are sorted from most to least suspicious."),
    ),
    "malignant_auc": (
        gettext_lazy("Malignant told from benign (AUC)"),
        gettext_lazy("The same for melanoma, basal cell carcinoma and actinic keratosis together."),
    ),
    "malignant_ap": (
        gettext_lazy("Malignant, average precision"),
        gettext_lazy("How pure the sorted list is for the three malignant classes."),
    ),
    "balanced_accuracy": (
        gettext_lazy("Right class of seven, each class counted alike"),
        gettext_lazy("A coin with seven sides would reach 0.14."),
    ),
    "accuracy": (
        gettext_lazy("Right class of seven"),
        gettext_lazy("Flattered by common moles, which are two thirds of the photos."),
    ),
    "sensitivity_at_95_specificity": (
        gettext_lazy("Sensitivity at a specificity of 0.95"),
        gettext_lazy(
            "Of the malignant ones, how many are found when 5 in 100 others are flagged too."
        ),
    ),
    "sensitivity_at_90_specificity": (
        gettext_lazy("Sensitivity at a specificity of 0.90"),
        gettext_lazy(
            "Of the malignant ones, how many are found when 10 in 100 others are flagged too."
        ),
    ),
    "specificity_at_95_sensitivity": (
        gettext_lazy("Specificity at a sensitivity of 0.95"),
        gettext_lazy(
            "Of the others, how many are left alone when 95 in 100 malignant ones are found."
        ),
    ),
    "coverage": (
        gettext_lazy("Share of photos decided at the gate"),
        gettext_lazy("The rest is left to a human and is counted neither as found nor as missed."),
    ),
    "selective_sensitivity": (
        gettext_lazy("Sensitivity among the decided"),
        gettext_lazy("Only to be read together with the share of photos decided."),
    ),
    "selective_specificity": (
        gettext_lazy("Specificity among the decided"),
        gettext_lazy("Only to be read together with the share of photos decided."),
    ),
    "ece": (
        gettext_lazy("Calibration error"),
        gettext_lazy(
            "How far the stated probability lies from what happened, on average. 0 is best."
        ),
    ),
    "dice": (
        gettext_lazy("Outline, Dice overlap"),
        gettext_lazy("How well the outline matches one drawn by an expert. 1 is a perfect match."),
    ),
    "iou": (
        gettext_lazy("Outline, intersection over union"),
        gettext_lazy("A stricter measure of the same match."),
    ),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure with its 95% interval; `x`, `low`, `high` place it on a line of `SCALE` units."""

    title: StrOrPromise
    about: StrOrPromise
    value: str
    interval: str
    x: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class DataSource:
    """One data set that the model learned from."""

    name: str
    licence: str
    images: int | None
    lesions: int | None


@dataclass(frozen=True, slots=True)
class ModelPage:
    """All that the page says of the active bundle."""

    name: str
    version: str
    sha256: str
    created: str
    licence: str
    intended_use: str
    members: int
    architecture: str
    views: int
    gate: StrOrPromise
    threshold: int
    certified: bool
    segmenter: bool
    outputs: tuple[tuple[StrOrPromise, StrOrPromise], ...]
    test_images: int | None
    test_lesions: int | None
    metrics: tuple[Metric, ...]
    segmentation: tuple[Metric, ...]
    data: tuple[DataSource, ...]
    charts: tuple[model_charts.Chart, ...]
    gate_table: model_charts.Table | None
    confusion: model_charts.Table | None


def model_page(folder: Path) -> ModelPage | None:
    """Read the bundle in `folder`; None where there is none that can be read."""
    try:
        raw = (folder / "bundle.json").read_bytes()
        bundle = json.loads(raw)
        return _page(bundle, hashlib.sha256(raw).hexdigest())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _page(bundle: dict[str, Any], sha256: str) -> ModelPage:
    classifier, gate = bundle["classifier"], bundle["gate"]
    active = gate.get(gate["active"]) or gate["fixed"]
    metrics = bundle.get("metrics") or {}
    test = metrics.get("test") or {}
    return ModelPage(
        name=str(bundle["name"]),
        version=str(bundle["version"]),
        sha256=sha256,
        created=str(bundle.get("created", "")),
        licence=str(bundle.get("licence", "")),
        intended_use=str(bundle.get("intended_use", "")),
        members=len(classifier["members"]),
        architecture=_architectures(classifier),
        views=len(bundle.get("views") or ["identity"]),
        gate=wording.gate_name(gate["active"]),
        threshold=wording.per_hundred(float(active["threshold"])),
        certified=bool(gate.get("risk_controlled")),
        segmenter=bool(bundle.get("segmenter")),
        outputs=tuple(
            wording.CLASS_NAMES[code]
            for code in wording.CLASS_NAMES
            if code in classifier["outputs"]
        ),
        test_images=test.get("n_images"),
        test_lesions=test.get("n_lesions"),
        metrics=_metrics(test),
        segmentation=_metrics(metrics.get("segmentation") or {}),
        data=tuple(
            DataSource(
                str(source["name"]),
                str(source.get("licence", "")),
                source.get("images"),
                source.get("lesions"),
            )
            for source in (bundle.get("training") or {}).get("data") or ()
        ),
        charts=model_charts.charts(test),
        gate_table=model_charts.gate(test),
        confusion=model_charts.confusion(
            test, {code: name for code, (name, _about) in wording.CLASS_NAMES.items()}
        ),
    )


def _architectures(classifier: dict[str, Any]) -> str:
    """Return the members' networks by name: some may have their own."""
    default = classifier["architecture"]
    kinds = Counter(str((m.get("architecture") or default)["name"]) for m in classifier["members"])
    return ", ".join(
        f"{count} × {name}" if len(kinds) > 1 else name for name, count in kinds.items()
    )


def _metrics(found: dict[str, Any]) -> tuple[Metric, ...]:
    """Take the figures that this page has words for, in its own order."""
    return tuple(
        metric
        for key, (title, about) in _METRICS.items()
        if (metric := _metric(found.get(key), title, about)) is not None
    )


def _metric(found: Any, title: StrOrPromise, about: StrOrPromise) -> Metric | None:
    value, ci = (found.get("value"), found.get("ci")) if isinstance(found, dict) else (found, None)
    if not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        return None
    low, high = (float(ci[0]), float(ci[1])) if ci else (float(value), float(value))
    return Metric(
        title=title,
        about=about,
        value=number_format(value, 3),
        interval=""
        if not ci
        else _("%(low)s to %(high)s")
        % {"low": number_format(low, 3), "high": number_format(high, 3)},
        x=round(value * SCALE),
        low=round(low * SCALE),
        high=round(high * SCALE),
    )
