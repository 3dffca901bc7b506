"""The Model page's tables of where the figures are worse: groups, worse photos, a leaking split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext_lazy

from analyses.model_charts import Table, figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django_stubs_ext import StrOrPromise

_AUC: Final = gettext_lazy("Malignant told from benign (AUC)")
_TRAITS: Final[dict[str, StrOrPromise]] = {
    "sex": gettext_lazy("Sex"),
    "age": gettext_lazy("Age"),
    "site": gettext_lazy("Site"),
    "hair": gettext_lazy("Hair in the photo"),
    "corners": gettext_lazy("Black corners in the photo"),
    "ruler": gettext_lazy("Ruler in the photo"),
}
_GROUPS: Final[dict[str, StrOrPromise]] = {
    "female": gettext_lazy("female"),
    "male": gettext_lazy("male"),
    "unknown": gettext_lazy("unknown"),
    "detected": gettext_lazy("found"),
    "none": gettext_lazy("not found"),
    "abdomen": gettext_lazy("abdomen"),
    "back": gettext_lazy("back"),
    "chest": gettext_lazy("chest"),
    "face": gettext_lazy("face"),
    "foot": gettext_lazy("foot"),
    "lower extremity": gettext_lazy("leg"),
    "neck": gettext_lazy("neck"),
    "scalp": gettext_lazy("scalp"),
    "trunk": gettext_lazy("trunk"),
    "upper extremity": gettext_lazy("arm"),
}
_WORSE: Final[dict[str, StrOrPromise]] = {
    "as it comes": gettext_lazy("as they come"),
    "blur": gettext_lazy("blurred"),
    "JPEG 30": gettext_lazy("strongly compressed (JPEG 30)"),
    "30% darker": gettext_lazy("darker by three tenths"),
    "30% brighter": gettext_lazy("brighter by three tenths"),
    "turned by 30°": gettext_lazy("turned by 30°"),
    "hair drawn on": gettext_lazy("with hair drawn on"),
    "corners drawn on": gettext_lazy("with black corners drawn on"),
    "warm colour cast": gettext_lazy("with a warm colour cast"),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """A table, of how many photos or members it is, and of which version if not of this one."""

    table: Table
    count: int
    version: str = ""


def groups(test: Mapping[str, Any]) -> Table | None:
    """Return the AUC of each group of photos that has words here."""
    rows = tuple(
        (
            f"{title}: {_GROUPS.get(name, name)}",
            number_format(one["n"], force_grouping=True),
            number_format(one["malignant"]),
            figure(one["malignant_auc"]),
        )
        for trait, title in _TRAITS.items()
        for name, one in (test.get("subgroups") or {}).get(trait, {}).items()
    )
    header = (
        gettext_lazy("Group"),
        gettext_lazy("Photos"),
        gettext_lazy("Malignant"),
        _AUC,
    )
    return Table(header, rows) if rows else None


def worse_photos(metrics: Mapping[str, Any]) -> Measured | None:
    """Return the AUC on photos made worse, and how far that is from photos as they come."""
    report = metrics.get("robustness") or {}
    found = (report.get("tasks") or {}).get("malignant")
    if not found:
        return None
    table = Table(
        (gettext_lazy("Photos"), _AUC, gettext_lazy("Change")),
        tuple(
            (
                str(_WORSE.get(row["photos"], row["photos"])),
                figure(row["auc"]),
                figure(row["change"], signed=True),
            )
            for row in found
        ),
    )
    return Measured(table, report["n_images"])


def leak(metrics: Mapping[str, Any]) -> Measured | None:
    """Return AUCs of the honest split beside those of one that puts a lesion on both sides."""
    found = metrics.get("image_random")
    if not found:
        return None
    words = {
        "melanoma_auc": gettext_lazy("Melanoma told from the rest (AUC)"),
        "malignant_auc": _AUC,
        "balanced_accuracy": gettext_lazy("Right class of seven, each class counted alike"),
    }
    table = Table(
        (
            gettext_lazy("Figure"),
            gettext_lazy("Split by lesion, as it should be"),
            gettext_lazy("Split by photo"),
        ),
        tuple(
            (
                str(words[name]),
                figure(found["by_lesion"][name]),
                figure(found["by_image"][name]),
            )
            for name in words
            if name in found["by_lesion"] and name in found["by_image"]
        ),
    )
    return Measured(table, found["members"], found.get("version", ""))
