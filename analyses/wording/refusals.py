"""Why there is no result: the photo's fault or ours, never the person's; and the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy as _

from analyses.models import FailureCode
from inference_worker.verdict import Rejection

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was wrong (`title`, `what`), what mends it (`remedies`), and the name of its drawing."""

    title: StrOrPromise
    what: StrOrPromise
    remedies: tuple[StrOrPromise, ...]
    drawing: str = "photo-off"


_REJECTIONS: Final[dict[str, Refusal]] = {
    Rejection.TOO_SMALL: Refusal(
        _("The photo is too small"),
        _("It has too few pixels to show the structures that the model looks at."),
        (
            _("Send the original photo from the camera, not a thumbnail or a screenshot."),
            _("If you cropped it, crop less."),
        ),
        "frame",
    ),
    Rejection.BLURRED: Refusal(
        _("The photo is blurred"),
        _("The fine structures of the lesion cannot be seen in it."),
        (
            _("Rest the dermatoscope or your hand on the skin and hold still."),
            _("Tap on the lesion on the screen so that the camera focuses there."),
            _("Wipe the lens."),
        ),
        "focus",
    ),
    Rejection.TOO_DARK: Refusal(
        _("The photo is too dark"),
        _("The colours of the lesion cannot be told apart in it."),
        (
            _("Turn on the light of the dermatoscope, or go to a window."),
            _("Do not let your hand or the phone cast a shadow."),
        ),
        "light",
    ),
    Rejection.TOO_BRIGHT: Refusal(
        _("The photo is too bright"),
        _("Parts of it are white, so their structure is lost."),
        (
            _("Turn the flash off, or use the polarised light of the dermatoscope."),
            _("Tilt the camera a little so that the skin does not shine."),
        ),
        "light",
    ),
    Rejection.NO_LESION: Refusal(
        _("No lesion was found in the photo"),
        _("Nothing in it stands out from the skin around it."),
        (
            _("Put the lesion in the middle, filling about a third of the picture."),
            _("Leave a rim of normal skin all around."),
        ),
        "frame",
    ),
    Rejection.OUT_OF_DISTRIBUTION: Refusal(
        _("The photo is unlike those the model knows"),
        _("It learned from photos taken through a dermatoscope, and this one looks different."),
        (
            _("Photograph the lesion through a dermatoscope, with contact or polarised light."),
            _(
                "If you have none, send it as an ordinary photo: it then goes to a human, not to "
                "the model."
            ),
        ),
        "frame",
    ),
}

_UNKNOWN_REJECTION: Final = Refusal(
    _("The photo cannot be used"),
    _("The model cannot work with this photo."),
    (_("Take a new photo: in focus, in good light, the whole lesion in the middle."),),
)

_AGAIN: Final = _(
    "Send the photo again. If it fails again, the photo may be damaged: take a new one."
)
_FAILURES: Final[dict[str, Refusal]] = {
    FailureCode.TOO_MANY_ATTEMPTS: Refusal(
        _("The analysis did not finish"),
        _("We tried several times and stopped. The fault is on our side, not yours."),
        (_AGAIN,),
        "stopped",
    ),
    FailureCode.TIME_LIMIT: Refusal(
        _("The analysis took too long"),
        _("It was stopped so that it does not block others. The fault is on our side, not yours."),
        (_AGAIN,),
        "stopped",
    ),
    FailureCode.OUT_OF_MEMORY: Refusal(
        _("The analysis ran out of memory"),
        _("The machine had too little room for it. The fault is on our side, not yours."),
        (_("Send it again later, or send a smaller copy."),),
        "stopped",
    ),
    FailureCode.IMAGE_UNAVAILABLE: Refusal(
        _("The photo was lost before its analysis"),
        _("It could no longer be read from the store. The fault is on our side, not yours."),
        (_("Send the photo again."),),
        "stopped",
    ),
    FailureCode.MODEL_UNAVAILABLE: Refusal(
        _("The model could not be started"),
        _("A part of it is missing or damaged, so nothing is said about the photo."),
        (_("Tell whoever runs this site, and send the photo again later."),),
        "stopped",
    ),
    FailureCode.MODEL_ERROR: Refusal(
        _("The model gave an unusable answer"),
        _("Its numbers did not make sense, so nothing is said about the photo."),
        (_AGAIN,),
        "stopped",
    ),
}
_UNKNOWN_FAILURE: Final = Refusal(
    _("The analysis failed"),
    _("Something went wrong on our side, not yours. Nothing is said about the photo."),
    (_AGAIN,),
    "stopped",
)


def rejection_of(code: str) -> Refusal:
    """Return the wording of a rejection's code; general words for an unknown one."""
    return _REJECTIONS.get(code, _UNKNOWN_REJECTION)


def failure_of(code: str) -> Refusal:
    """Return the wording of a failure's code; general words for an unknown one."""
    return _FAILURES.get(code, _UNKNOWN_FAILURE)
