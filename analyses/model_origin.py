"""The Model page's account of what the model learned from, and on what its figures were taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from analyses.wording import in_hundred

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django_stubs_ext import StrOrPromise

# As those who publish them write them; the same in every language.
_COLLECTIONS: Final = {
    "ham10000": "HAM10000",
    "isic2017": "ISIC 2017",
    "isic2018_task1": "ISIC 2018, task 1",
    "isic2019": "ISIC 2019",
    "isic2020": "ISIC 2020",
}
# As their makers say (Tschandl 2018); the other collections come from many places.
_TAKEN: Final[dict[str, StrOrPromise]] = {
    "ham10000": gettext_lazy("Taken in Vienna, Austria, and in Queensland, Australia.")
}
_COMMON: Final = (
    0.05  # from this share on, malignant ones are far more common than on one's own skin
)


@dataclass(frozen=True, slots=True)
class DataSource:
    """One data set that the model learned from.

    `taken` says where, as far as it is known; `note` is what the bundle adds, in English.
    """

    name: str
    licence: str
    images: int | None
    lesions: int | None
    taken: StrOrPromise
    note: str


def collection_name(key: str) -> str:
    """Return what people call the data set that a bundle names `key`."""
    return _COLLECTIONS.get(key, key)


def sources(bundle: Mapping[str, Any]) -> tuple[DataSource, ...]:
    """Return the data sets that the bundle says it was trained on."""
    return tuple(
        DataSource(
            collection_name(str(source["name"])),
            str(source.get("licence", "")),
            source.get("images"),
            source.get("lesions"),
            _TAKEN.get(str(source["name"]), ""),
            str(source.get("note", "")),
        )
        for source in (bundle.get("training") or {}).get("data") or ()
    )


def measured(bundle: Mapping[str, Any]) -> str:
    """Return on what the figures were taken and how often it was read, as far as the bundle says.

    Empty where it does not say even how many photos they were.
    """
    metrics = bundle.get("metrics") or {}
    test = metrics.get("test") or {}
    images, lesions = test.get("n_images"), test.get("n_lesions")
    if not images:
        return ""
    counts = {
        "images": number_format(images, force_grouping=True),
        "lesions": number_format(lesions or 0, force_grouping=True),
    }
    told = (
        _("Measured on %(images)s photos of %(lesions)s lesions.") % counts
        if lesions
        else _("Measured on %(images)s photos.") % counts
    )
    training = bundle.get("training") or {}
    split = training.get("split") or {}
    parts = [told]
    if training.get("photos_not_known_of"):
        parts.append(
            _(
                "From which photos a part of it came is not known, so it may have been trained on"
                " some of these."
            )
        )
    elif split.get("by") == "image":
        parts.append(
            _(
                "It was trained on other photos of the same lesions, which flatters every figure"
                " below."
            )
        )
    elif split:  # what does not say by what it was split was made when there was only one way
        parts.append(_("It was trained on no photo of these lesions."))
    if metrics.get("test_read_again"):
        parts.append(
            _(
                "The test photos were read again to measure more, never to choose, after everything"
                " else had been fixed."
            )
        )
    elif split:
        parts.append(_("The test photos were read once, after everything else had been fixed."))
    return " ".join(parts)


def prevalence(test: Mapping[str, Any]) -> str:
    """Return how common what is looked for was in the test; empty where that is not known."""
    found = test.get("prevalence") or {}
    malignant, melanoma = found.get("malignant"), found.get("melanoma")
    if malignant is None:
        return ""
    shares = {"malignant": in_hundred(malignant), "melanoma": in_hundred(melanoma or 0)}
    told = (
        _("Of the test photos, %(malignant)s show something malignant.") % shares
        if melanoma is None
        else _("Of the test photos, %(malignant)s show something malignant: %(melanoma)s melanoma.")
        % shares
    )
    if malignant < _COMMON:
        return told
    return " ".join(
        (
            told,
            _(
                "Among people who look at their own skin there are far fewer, so a probability that"
                " it tells is too high for them."
            ),
        )
    )
