"""The Model page's tables of what each part does: networks, views, temperature, refusals, outline.

And what was certified of the decision rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from analyses.model_charts import Table, figure
from analyses.model_origin import collection_name
from analyses.wording import decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django_stubs_ext import StrOrPromise

_AUCS: Final[dict[str, StrOrPromise]] = {
    "melanoma_auc": gettext_lazy("Melanoma told from the rest (AUC)"),
    "malignant_auc": gettext_lazy("Malignant told from benign (AUC)"),
}
_ADDED: Final[dict[str, StrOrPromise]] = {
    "ensemble_minus_best_member": gettext_lazy("All networks against the best one alone"),
    "tta_minus_none": gettext_lazy("All views against the photo as it stands"),
}
_CALIBRATION: Final[dict[str, StrOrPromise]] = {
    "ece": gettext_lazy("Calibration error (ECE)"),
    "brier": gettext_lazy("Brier score"),
    "nll": gettext_lazy("Negative log-likelihood"),
}
_OUTLINE: Final[dict[str, StrOrPromise]] = {
    "dice": gettext_lazy("Dice overlap"),
    "iou": gettext_lazy("intersection over union"),
    "thresholded_jaccard": gettext_lazy("the same, below 0.65 counted as 0"),
}
_SPREAD: Final[dict[str, StrOrPromise]] = {
    "median": gettext_lazy("Median"),
    "p5": gettext_lazy("5th percentile"),
}
_DRAWN: Final[dict[str, StrOrPromise]] = {
    "noise": gettext_lazy("drawn: noise"),
    "colour_noise": gettext_lazy("drawn: clouds of colour"),
    "plain": gettext_lazy("drawn: one plain colour"),
    "skin": gettext_lazy("drawn: skin without a lesion"),
    "gradient": gettext_lazy("drawn: a gradient"),
    "checkerboard": gettext_lazy("drawn: a checkerboard"),
    "text": gettext_lazy("drawn: text"),
    "stripes": gettext_lazy("drawn: stripes"),
}


def added(test: Mapping[str, Any], *, members: int, views: int) -> Table | None:
    """Return what several networks and several views add, and each network by itself.

    Nothing of what a bundle of one network, or of one view, has no several of.
    """
    found, alone = test.get("comparisons") or {}, test.get("members") or ()
    known = [name for name in _AUCS if any(name in one for one in alone)]
    several = {"ensemble_minus_best_member": members > 1, "tta_minus_none": views > 1}
    rows = [
        (str(words), *(figure(found[name].get(auc), signed=True) for auc in known))
        for name, words in _ADDED.items()
        if several[name] and name in found
    ]
    best = found.get("best_member")
    for number, one in enumerate(alone if members > 1 else ()):
        words = (
            gettext_lazy("Network %(n)s alone, the best before the test")
            if number == best
            else gettext_lazy("Network %(n)s alone")
        )
        told = str(words) % {"n": number_format(number + 1)}
        rows.append((told, *(figure(one.get(auc)) for auc in known)))
    if not known or not rows:
        return None
    return Table((gettext_lazy("What is asked"), *(_AUCS[auc] for auc in known)), tuple(rows))


def calibration(test: Mapping[str, Any], classes: int) -> Table | None:
    """Return how far probabilities can be taken at their word, before and after temperature.

    `classes` says of how many answers the model picks one: of two, the figure over all of them
    would be that of something malignant over again.
    """
    report = test.get("calibration") or {}
    found = {when: one for when in ("before", "after") if (one := report.get(when))}
    words = dict(_CALIBRATION)
    if classes > 2:  # noqa: PLR2004 - malignant or not
        words["nll_seven_classes"] = _("Negative log-likelihood, of all %(n)s classes") % {
            "n": classes
        }
    known = [name for name in words if any(name in one for one in found.values())]
    if not known:
        return None
    temperature = report.get("temperature")
    rows = {
        "before": _("Before temperature scaling"),
        "after": _("After temperature scaling")
        if temperature is None
        else _("After, with a temperature of %(t)s") % {"t": decimal(temperature, 3)},
    }
    return Table(
        (gettext_lazy("Probabilities"), *(words[name] for name in known)),
        tuple(
            (rows[when], *(figure(one.get(name)) for name in known)) for when, one in found.items()
        ),
    )


def outline(segmentation: Mapping[str, Any]) -> Table | None:
    """Return how well the outline fits, on each collection with masks that was not trained on."""
    rows = [
        (f"{collection_name(collection)}: {words}", figures.get("n_images"), figures[key])
        for collection, figures in segmentation.items()
        for key, words in _OUTLINE.items()
        if key in figures
    ]
    if not rows:
        return None
    spread = [
        key
        for key in _SPREAD
        if any(isinstance(found, Mapping) and key in found for *_rest, found in rows)
    ]
    return Table(
        (
            gettext_lazy("Figure"),
            gettext_lazy("Photos"),
            gettext_lazy("Mean"),
            *(_SPREAD[key] for key in spread),
        ),
        tuple(
            (
                name,
                "–" if images is None else number_format(images, force_grouping=True),
                *_overlap(found, spread),
            )
            for name, images, found in rows
        ),
    )


def _overlap(found: Mapping[str, Any] | float, spread: Sequence[str]) -> tuple[str, ...]:
    """Return a mean and what else is told of its spread; a bare figure is a mean alone."""
    known = found if isinstance(found, Mapping) else {"mean": found}
    mean = figure({"value": known["mean"], "ci": known.get("ci")})
    return (mean, *(figure(known.get(key)) for key in spread))


def refusals(metrics: Mapping[str, Any]) -> Table | None:
    """Return how many in 100 of drawn pictures, and of real test photos, are refused."""
    ood = metrics.get("ood") or {}
    drawn = ood.get("impostors_refused") or {}
    rows: list[Sequence[str]] = [
        (str(_DRAWN.get(kind, kind)), _in_hundred(refused)) for kind, refused in drawn.items()
    ]
    if "test_photos_passed" in ood:
        told = _("real test photos, as unlike those it learned from")
        rows.append((told, _in_hundred(1 - ood["test_photos_passed"])))
    if passed := (metrics.get("refusals") or {}).get("passed"):
        told = _("real test photos, by every check together")
        rows.append((told, _in_hundred(1 - passed["value"])))
    if not rows:
        return None
    header = (gettext_lazy("What it was shown"), gettext_lazy("Refused, of 100"))
    return Table(header, tuple(tuple(row) for row in rows))


def bound(bundle: Mapping[str, Any]) -> str:
    """Return what is certified of a decision rule, and of whom; empty where nothing is."""
    rule = bundle["gate"].get("risk_controlled")
    if not rule:
        return ""
    told = _(
        "Shown with %(confidence)s in 100 confidence: a rule that speaks from %(threshold)s on"
        " tells at most %(share)s in 100 malignant lesions as benign."
    ) % {
        "confidence": decimal(100 * (1 - rule["delta"]), 0),
        "threshold": decimal(rule["threshold"], 4),
        "share": decimal(100 * rule["alpha"], 0),
    }
    return f"{told} {_of_whom(bundle)}"


def _of_whom(bundle: Mapping[str, Any]) -> str:
    seen = (bundle.get("metrics") or {}).get("out_of_fold")
    if seen is None:
        return _("Of whom that was shown, the bundle does not say.")
    if len(bundle["classifier"]["members"]) == 1:
        return _("That is of this network, asked about lesions that it had not seen.")
    return (
        _(
            "That is of single networks, each asked about lesions that it had not seen, calibrated"
            " as here. Of all networks together it cannot be shown."
        )
        if seen.get("certified")
        else _(
            "That is of single networks, each asked about lesions that it had not seen, calibrated"
            " more cautiously than here. Of what speaks here it is not shown."
        )
    )


def _in_hundred(share: float) -> str:
    return decimal(100 * share, 1)
