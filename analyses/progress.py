"""How far an analysis has come, as the list of stages that the page shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from analyses import selectors, turns, wording
from analyses.models import Analysis, Status
from inference_worker.verdict import Stage

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

ESTIMATE_AFTER: Final = 10  # s: before that an estimate only distracts
LONG: Final = 3  # times the usual
STEPS: Final = tuple(Stage)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the list. `state` is done, now or later."""

    title: StrOrPromise
    text: StrOrPromise
    state: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """The list, one sentence for screen readers, and a token that changes when they do."""

    steps: tuple[Step, ...]
    sentence: str
    estimate: str
    token: str


def progress_of(analysis: Analysis) -> Progress:
    """Describe an analysis that is under way."""
    running = analysis.status == Status.RUNNING
    position = 0 if running else turns.position(analysis)
    number = _number(analysis)
    steps = (
        Step(_("Received"), _("Your photo arrived whole."), "done"),
        Step(
            _("Checked"),
            _("It is a photo that can be read. Place, camera and all other hidden data are gone."),
            "done",
        ),
        Step(
            _("Waiting for its turn"),
            "" if running else _position_words(position),
            "done" if running else "now",
        ),
        Step(
            _("Being analysed"),
            _analysing_words(analysis, number) if running else _("In five steps."),
            "now" if running else "later",
            tuple(_part(i, number) for i in range(1, len(STEPS) + 1)) if running else (),
        ),
        Step(_("Result"), _("Then your photo is deleted."), "later"),
    )
    estimate = _estimate(analysis)
    now = next(step for step in steps if step.state == "now")
    return Progress(
        steps=steps,
        sentence=" ".join(str(part) for part in (now.title, now.text, estimate) if part),
        estimate=estimate,
        token=f"{analysis.status}.{analysis.stage}.{position}.{len(estimate)}",
    )


def _number(analysis: Analysis) -> int:
    return STEPS.index(Stage(analysis.stage)) + 1 if analysis.stage else 0


def _part(i: int, number: int) -> str:
    if i < number:
        return "done"
    return "now" if i == number else "later"


def _analysing_words(analysis: Analysis, number: int) -> str:
    if not number:
        return _("About to begin.")
    return _("Step %(number)d of %(total)d: %(stage)s") % {
        "number": number,
        "total": len(STEPS),
        "stage": wording.STAGES[Stage(analysis.stage)],
    }


def _position_words(position: int) -> str:
    if position <= 1:
        return _("It is the next one.")
    return ngettext(
        "%(count)d photo is before it.", "%(count)d photos are before it.", position - 1
    ) % {"count": position - 1}


def _estimate(analysis: Analysis) -> str:
    """Say how long it will still take, once the wait is long enough to wonder."""
    waited = (timezone.now() - analysis.created_at).total_seconds()
    if waited < ESTIMATE_AFTER:
        return ""
    seconds = selectors.expected_seconds(analysis)
    if seconds is None:
        return _("There is no estimate yet.")
    if waited > LONG * max(seconds, ESTIMATE_AFTER):
        return _("This takes longer than usual.")
    if seconds < 60:  # noqa: PLR2004 - a minute
        return _("Usually done in less than a minute.")
    minutes = round(seconds / 60)
    return ngettext(
        "Usually done in about %(count)d minute.",
        "Usually done in about %(count)d minutes.",
        minutes,
    ) % {"count": minutes}
