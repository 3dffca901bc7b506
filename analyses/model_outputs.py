"""The Model page's words for what a bundle can answer, and which answers count as malignant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext_lazy as _

from analyses.wording import CLASS_NAMES
from inference_worker.verdict import MALIGNANT_CLASSES, columns_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django_stubs_ext import StrOrPromise

_NAMES: Final[dict[str, StrOrPromise]] = {
    "malignant": _("Something malignant"),
    "not malignant": _("Nothing malignant"),
    "benign": _("Something benign"),
    "suspicious": _("Something suspicious"),
    "melanoma": _("Melanoma"),
    "not melanoma": _("No melanoma"),
}
_SIDES: Final[dict[bool, StrOrPromise]] = {
    True: _("counted as malignant"),
    False: _("counted as benign"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One thing that the model may answer.

    `about` says what it is in a few words, and `side` on which side it counts; each is empty where
    the bundle does not tell.
    """

    name: StrOrPromise
    about: StrOrPromise
    side: StrOrPromise


def columns(classifier: Mapping[str, Any]) -> tuple[str, ...]:
    """Return everything that the model weighs: of one sigmoid output that is two things."""
    return columns_of(classifier["outputs"], classifier.get("activation", "softmax"))


def names(classifier: Mapping[str, Any]) -> dict[str, StrOrPromise]:
    """Return each column in words; one that has none here goes by its own name."""
    known = _classes(classifier)
    return {
        column: CLASS_NAMES[known[column]][0] if column in known else _NAMES.get(column, column)
        for column in columns(classifier)
    }


def answers(classifier: Mapping[str, Any]) -> tuple[Answer, ...]:
    """Return what the model can answer, what counts as malignant first."""
    known, words = _classes(classifier), names(classifier)
    malignant = _malignant(classifier)
    order = list(CLASS_NAMES)

    def place(column: str) -> tuple[bool, int]:
        at = order.index(known[column]) if column in known else len(order)
        return column not in malignant, at

    return tuple(
        Answer(
            name=words[column],
            about=CLASS_NAMES[known[column]][1] if column in known else "",
            side=_SIDES[column in malignant] if malignant else "",
        )
        for column in sorted(words, key=place)
    )


def _classes(classifier: Mapping[str, Any]) -> dict[str, str]:
    """Return for each column that is one of the product's classes, which it is."""
    found = {name: name for name in columns(classifier) if name in CLASS_NAMES}
    for code, outputs in _class_map(classifier).items():
        if code in CLASS_NAMES and len(outputs) == 1:
            found[outputs[0]] = code
    return found


def _malignant(classifier: Mapping[str, Any]) -> set[str]:
    """Return the columns that are summed to the probability of something malignant."""
    known = _class_map(classifier)
    if "malignant" in known:
        return set(known["malignant"])
    return {output for code in MALIGNANT_CLASSES for output in known.get(code, ())}


def _class_map(classifier: Mapping[str, Any]) -> dict[str, list[str]]:
    return classifier.get("class_map") or {}
