"""The Model page's single figures, in words: those of a bundle's test and its gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from analyses.wording import decimal, in_hundred

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

SCALE: Final = 1000  # units of a drawing's full width
_NEAR: Final = 1e-6

_TEST: Final[dict[str, tuple[StrOrPromise, StrOrPromise]]] = {
    "melanoma_auc": (
        gettext_lazy("Melanoma told from the rest (AUC)"),
        gettext_lazy(
            "How often a melanoma gets a higher number than another lesion, of two drawn at random."
        ),
    ),
    "malignant_auc": (
        gettext_lazy("Malignant told from benign (AUC)"),
        gettext_lazy(
            "How often a malignant lesion gets a higher number than a benign one, of two drawn at"
            " random."
        ),
    ),
    "melanoma_ap": (
        gettext_lazy("Melanoma, average precision"),
        gettext_lazy("How pure the list is when lesions are sorted from most to least suspicious."),
    ),
    "malignant_ap": (
        gettext_lazy("Malignant, average precision"),
        gettext_lazy("How pure the sorted list is for everything malignant."),
    ),
    "melanoma_sensitivity_at_90_specificity": (
        gettext_lazy("Melanoma: sensitivity at a specificity of 0.90"),
        gettext_lazy("Of the melanomas, how many are found when 10 in 100 others are flagged too."),
    ),
    "melanoma_sensitivity_at_95_specificity": (
        gettext_lazy("Melanoma: sensitivity at a specificity of 0.95"),
        gettext_lazy("Of the melanomas, how many are found when 5 in 100 others are flagged too."),
    ),
    "melanoma_specificity_at_95_sensitivity": (
        gettext_lazy("Melanoma: specificity at a sensitivity of 0.95"),
        gettext_lazy("Of the others, how many are left alone when 95 in 100 melanomas are found."),
    ),
    "malignant_sensitivity_at_90_specificity": (
        gettext_lazy("Malignant: sensitivity at a specificity of 0.90"),
        gettext_lazy(
            "Of the malignant ones, how many are found when 10 in 100 others are flagged too."
        ),
    ),
    "malignant_sensitivity_at_95_specificity": (
        gettext_lazy("Malignant: sensitivity at a specificity of 0.95"),
        gettext_lazy(
            "Of the malignant ones, how many are found when 5 in 100 others are flagged too."
        ),
    ),
    "malignant_specificity_at_95_sensitivity": (
        gettext_lazy("Malignant: specificity at a sensitivity of 0.95"),
        gettext_lazy(
            "Of the others, how many are left alone when 95 in 100 malignant ones are found."
        ),
    ),
}
_ECE: Final = (
    gettext_lazy("Calibration error"),
    gettext_lazy("How far the stated probability lies from what happened, on average. 0 is best."),
)
_AURC: Final = (
    gettext_lazy("Share of wrong answers, on average over every share decided (AURC)"),
    gettext_lazy("The area under the curve of wrong answers below. 0 is best."),
)
_GATE: Final[dict[str, tuple[StrOrPromise, StrOrPromise]]] = {
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


def of_test(test: Mapping[str, Any], threshold: float, classes: int) -> tuple[Metric, ...]:
    """Return the figures that this page has words for, those of the gate at `threshold`.

    `classes` says of how many answers the model picks one.
    """
    calibrated = (test.get("calibration") or {}).get("after") or {}
    words = _TEST | _right(test, classes)
    found = [_metric(test.get(key), *told) for key, told in words.items()]
    found += [_metric(calibrated.get("ece"), *_ECE), _metric(test.get("aurc"), *_AURC)]
    for row in test.get("gate") or ():
        if abs(row["threshold"] - threshold) < _NEAR:
            ci = row.get("ci") or {}
            found += [
                _metric({"value": row.get(key), "ci": ci.get(key)}, *words)
                for key, words in _GATE.items()
            ]
            break
    return tuple(metric for metric in found if metric is not None)


def _right(test: Mapping[str, Any], classes: int) -> dict[str, tuple[StrOrPromise, StrOrPromise]]:
    """Return the words for the right answer of `classes`, beside what guessing would reach."""
    counts = list((test.get("classes") or {}).values())
    flattered = (
        _("Flattered by the most common class, which %(share)s test photos show.")
        % {"share": in_hundred(max(counts) / sum(counts))}
        if sum(counts)
        else _("Flattered where one class is far more common than the others.")
    )
    return {
        "balanced_accuracy": (
            _("Right class of %(n)s, each class counted alike") % {"n": classes},
            _("Guessing alone would reach %(chance)s.") % {"chance": decimal(1 / classes, 2)},
        ),
        "balanced_accuracy_prior_free": (
            gettext_lazy("The same, rare classes held as likely as common ones"),
            gettext_lazy("How common a class was in training is divided out of what is told."),
        ),
        "accuracy": (_("Right class of %(n)s") % {"n": classes}, flattered),
    }


def _metric(found: Any, title: StrOrPromise, about: StrOrPromise) -> Metric | None:
    """Return a figure, bare or with its interval; None where it is no share of 1."""
    value, ci = (
        (found.get("value"), found.get("ci")) if isinstance(found, Mapping) else (found, None)
    )
    if not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        return None
    if ci and None in ci:  # too few photos to draw an interval from
        ci = None
    low, high = (float(ci[0]), float(ci[1])) if ci else (float(value), float(value))
    return Metric(
        title=title,
        about=about,
        value=decimal(value, 3),
        interval=""
        if not ci
        else _("%(low)s to %(high)s") % {"low": decimal(low, 3), "high": decimal(high, 3)},
        x=round(value * SCALE),
        low=round(low * SCALE),
        high=round(high * SCALE),
    )
