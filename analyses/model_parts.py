"""The Model page's tables of what its parts add, of what it refuses, and of what was certified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from analyses.model_charts import Table, figure
from analyses.wording import decimal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django_stubs_ext import StrOrPromise

_AUCS: Final[dict[str, StrOrPromise]] = {
    "melanoma_auc": gettext_lazy("Melanoma told from the rest (AUC)"),
    "malignant_auc": gettext_lazy("Malignant told from benign (AUC)"),
}
_ADDED: Final[dict[str, StrOrPromise]] = {
    "ensemble_minus_best_member": gettext_lazy("All networks against the best one alone"),
    "tta_minus_none": gettext_lazy("All views against the photo as it stands"),
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


def added(test: Mapping[str, Any]) -> Table | None:
    """Return what several networks and several views add, and each network by itself."""
    found, members = test.get("comparisons") or {}, test.get("members") or ()
    known = [name for name in _AUCS if any(name in one for one in members)]
    if not known:
        return None
    rows = [
        (str(words), *(figure(found[name].get(auc), signed=True) for auc in known))
        for name, words in _ADDED.items()
        if name in found
    ]
    best = found.get("best_member")
    for number, one in enumerate(members):
        words = (
            gettext_lazy("Network %(n)s alone, the best before the test")
            if number == best
            else gettext_lazy("Network %(n)s alone")
        )
        told = str(words) % {"n": number_format(number + 1)}
        rows.append((told, *(figure(one.get(auc)) for auc in known)))
    return Table((gettext_lazy("What is asked"), *(_AUCS[auc] for auc in known)), tuple(rows))


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
    seen = (bundle.get("metrics") or {}).get("out_of_fold") or {}
    of_whom = (
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
    return f"{told} {of_whom}"


def _in_hundred(share: float) -> str:
    return decimal(100 * share, 1)
