"""What a person may agree to when sending a photo, in the words that are recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy as _

from analyses.models import HoldKind

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

HOLD_WORDING_VERSION: Final = "2026-11b"
"""Raise it with every change of the words below: a consent records the version it was given to."""


@dataclass(frozen=True, slots=True)
class HoldChoice:
    """One choice about the photo's fate. `days` stands in the text as %(days)d."""

    kind: str
    title: StrOrPromise
    text: StrOrPromise


HOLD_CHOICES: Final = (
    HoldChoice(
        kind=HoldKind.NONE.value,
        title=_("Delete my photo right after the analysis"),
        text=_("Only numbers and the outline of the lesion are kept. This is the usual choice."),
    ),
    HoldChoice(
        kind=HoldKind.GATE_DEFERRED.value,
        title=_("If the computer cannot tell, let my dermatologist see this photo"),
        text=_(
            "I agree that the encrypted photo is kept only in that case, until a dermatologist has "
            "written an opinion or %(days)d days have passed. Otherwise it is deleted at once."
        ),
    ),
    HoldChoice(
        kind=HoldKind.HUMAN_REQUESTED.value,
        title=_("I ask for a human to look, whatever the computer says"),
        text=_(
            "I agree that the encrypted photo is kept until a dermatologist has written an opinion "
            "or %(days)d days have passed."
        ),
    ),
    HoldChoice(
        kind=HoldKind.HUMAN_ONLY.value,
        title=_("Only a human, please: no computer is to judge my photo"),
        text=_(
            "No model sees it. I agree that the encrypted photo is kept until a dermatologist has "
            "written an opinion or %(days)d days have passed. Without an opinion by then, it is "
            "deleted unjudged."
        ),
    ),
)
