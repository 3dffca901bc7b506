"""What a dermatologist's answer is called: to the patient, and beside the model's output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy as _

from analyses.models import Advice, Opinion

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Told:
    """An answer in the patient's words. `tone` and `icon` as in `Outcome`."""

    tone: str
    icon: str
    sentence: StrOrPromise


ADVICE: Final[dict[str, Told]] = {
    Advice.WATCH.value: Told(
        "slate", "no-signs", _("Keep watching it, and come back if it changes")
    ),
    Advice.APPOINTMENT.value: Told(
        "amber", "doctor", _("Make an appointment to have it looked at")
    ),
    Advice.SOON.value: Told("rust", "doctor", _("See a dermatologist within two weeks")),
}
OPINIONS: Final[dict[str, StrOrPromise]] = {
    Opinion.BENIGN.value: _(
        "It looks benign in what was sent. A photo alone cannot rule out skin cancer."
    ),
    Opinion.SUSPICIOUS.value: _("It cannot be judged from what was sent; it has to be examined."),
    Opinion.MALIGNANT.value: _(
        "It could be a skin cancer other than melanoma. Only an examination can tell."
    ),
    Opinion.MELANOMA.value: _("It could be a melanoma. Only an examination can tell."),
}
"""What the dermatologist saw, as the patient reads it."""

ABOVE_THE_MODEL: Final = _(
    "A person who knows your record has answered. Where the computer says something else, follow "
    "this answer."
)
MODEL_LEFT_OUT: Final = _("The patient asked that no computer judge this photo.")
MODEL_SILENT: Final = _("The model gave no answer to this photo.")
MODEL_DEFERRED: Final = _("The model could not tell and left it to you.")
AGREEMENT: Final = _("You and the model say the same.")
BOTH_CANCER: Final = _("You override the model: both see a skin cancer, but not the same kind.")
OVERRIDE: Final = _("You override the model. Your opinion is what the patient reads first.")
