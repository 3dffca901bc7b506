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

_AUCS: Final[dict[str, StrOrPromise]] = {
    "malignant": gettext_lazy("Malignant told from benign (AUC)"),
    "melanoma": gettext_lazy("Melanoma told from the rest (AUC)"),
}
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
        _AUCS["malignant"],
    )
    return Table(header, rows) if rows else None


def worse_photos(metrics: Mapping[str, Any]) -> Measured | None:
    """Return the AUCs on photos made worse, and how far they are from photos as they come."""
    report = metrics.get("robustness") or {}
    tasks = {task: rows for task in _AUCS if (rows := (report.get("tasks") or {}).get(task))}
    if not tasks:
        return None
    by_photos = [{row["photos"]: row for row in rows} for rows in tasks.values()]
    header: list[StrOrPromise] = [gettext_lazy("Photos")]
    for task in tasks:
        header += [_AUCS[task], gettext_lazy("Change")]
    table = Table(
        tuple(header),
        tuple(
            (
                str(_WORSE.get(photos, photos)),
                *(cell for found in by_photos for cell in _worse(found.get(photos) or {})),
            )
            for photos in dict.fromkeys(name for found in by_photos for name in found)
        ),
    )
    return Measured(table, report["n_images"])


def _worse(row: Mapping[str, Any]) -> tuple[str, str]:
    return figure(row.get("auc")), figure(row.get("change"), signed=True)


def leak(metrics: Mapping[str, Any]) -> Measured | None:
    """Return AUCs of the honest split beside those of one that puts a lesion on both sides."""
    found = metrics.get("image_random")
    if not found:
        return None
    words = {
        "melanoma_auc": _AUCS["melanoma"],
        "malignant_auc": _AUCS["malignant"],
        "balanced_accuracy": gettext_lazy("Right class, each class counted alike"),
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
