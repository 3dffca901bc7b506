"""The three things that are told to a patient, and what each asks them to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy as _

from inference_worker.verdict import Category

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outcome in the patient's words. `tone` names its colours, `icon` its symbol."""

    key: str
    tone: str
    icon: str
    sentence: StrOrPromise
    caveat: StrOrPromise
    short: StrOrPromise
    steps: tuple[StrOrPromise, ...]


@dataclass(frozen=True, slots=True)
class Warnings:
    """What every result carries, whatever it says."""

    research: StrOrPromise
    skin: StrOrPromise
    clinical_photo: StrOrPromise


DOCTOR: Final = Outcome(
    key="doctor",
    tone="rust",
    icon="doctor",
    sentence=_("Show this to a doctor soon"),
    caveat=_(
        "The model found signs in this photo that a doctor should look at. It can be wrong: only "
        "an examination can say what it is."
    ),
    short=_("Show to a doctor"),
    steps=(
        _("Make an appointment with your doctor or a dermatologist within the next two weeks."),
        _("Print this page or show it on your phone, and say that a computer suggested the visit."),
        _("If it bleeds, grows quickly or hurts, ask for an earlier appointment."),
    ),
)
UNSURE: Final = Outcome(
    key="unsure",
    tone="amber",
    icon="unsure",
    sentence=_("The computer cannot tell. A dermatologist needs to look"),
    caveat=_(
        "The five models were not sure enough to say anything about this photo. That is common, "
        "and it says nothing good or bad about the lesion."
    ),
    short=_("Cannot tell"),
    steps=(
        _("Have a dermatologist or your doctor look at it at your next chance."),
        _("Go sooner if it is new, changing, bleeding, crusting or itching."),
        _("Print this page or show it on your phone at the appointment."),
    ),
)
NO_SIGNS: Final = Outcome(
    key="no-signs",
    tone="slate",
    icon="no-signs",
    sentence=_("No signs of melanoma found in this photo"),
    caveat=_("This does not rule out skin cancer."),
    short=_("No signs found"),
    steps=(
        _("Look at it again in a month, in the same light, and send a new photo if it changes."),
        _("See a doctor for any mole that is new or changing, whatever this page says."),
        _("Keep the skin checks that your doctor has advised."),
    ),
)

_BY_CATEGORY: Final = {
    Category.MELANOMA: DOCTOR,
    Category.MALIGNANT: DOCTOR,
    Category.SUSPICIOUS: UNSURE,
    Category.BENIGN: NO_SIGNS,
}

FILTERS: Final[tuple[tuple[str, Outcome, tuple[Category, ...]], ...]] = (
    ("doctor", DOCTOR, (Category.MELANOMA, Category.MALIGNANT)),
    ("unsure", UNSURE, (Category.SUSPICIOUS,)),
    ("no-signs", NO_SIGNS, (Category.BENIGN,)),
)
"""The outcomes as filters of the history: key, wording, stored categories."""


def outcome_of(category: str) -> Outcome:
    """Return the wording of a stored category. Raises `ValueError` for an unknown one."""
    return _BY_CATEGORY[Category(category)]


def tone_of(category: str) -> str:
    """Return the colour name of a category's opinions in drawings."""
    return outcome_of(category).tone


WARNINGS: Final = Warnings(
    research=_("For research use only. This is not a medical device."),
    skin=_(
        "The model learned mostly from photos of light skin. It is less reliable on brown and "
        "black skin, and on nails, palms and soles."
    ),
    clinical_photo=_(
        "This is an ordinary photo, not one taken through a dermatoscope. Such photos always go "
        "to a human."
    ),
)

ALWAYS_SEE_A_DOCTOR: Final = _(
    "See a doctor for a mole that is new or changing, that bleeds, crusts or itches, or that looks "
    "unlike all your others (the “ugly duckling”), whatever this page says."
)

ABCDE: Final[tuple[tuple[str, StrOrPromise, StrOrPromise], ...]] = (
    ("A", _("Asymmetry"), _("one half is unlike the other")),
    ("B", _("Border"), _("ragged, notched or blurred")),
    ("C", _("Colour"), _("several colours, or uneven")),
    ("D", _("Diameter"), _("larger than 6 mm, or growing")),
    ("E", _("Evolving"), _("any change in size, shape, colour or feeling")),
)
