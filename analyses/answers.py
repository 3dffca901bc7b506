"""Reviews as pages show them: to the patient, and beside the model's output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.care.models import CareRelationship
from accounts.care.services import name_of
from analyses.models import Opinion, Review, Status
from analyses.wording import reviews as words
from inference_worker.verdict import Category

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from accounts.models import User
    from analyses.models import Analysis

_CANCER = frozenset({Category.MALIGNANT.value, Category.MELANOMA.value})


@dataclass(frozen=True, slots=True)
class Answer:
    """One dermatologist's answer as the patient reads it, and what it replaced, newest first."""

    review: Review
    told: words.Told
    opinion: StrOrPromise
    earlier: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class HumanHelp:
    """How a person gets a human to look: who would, and whether somebody is about to."""

    names: tuple[str, ...]
    waiting: bool


def answers_to(analysis: Analysis) -> list[Answer]:
    """Return the answers to an analysis, newest first, each with its earlier versions."""
    rows = list(Review.objects.filter(analysis=analysis).order_by("-created_at"))
    by_id = {row.pk: row for row in rows}
    superseded = {row.supersedes_id for row in rows}
    found = []
    for row in rows:
        if row.pk in superseded:
            continue
        earlier, step = [], row
        while step.supersedes_id in by_id:
            step = by_id[step.supersedes_id]
            earlier.append(_answer(step))
        found.append(_answer(row, tuple(earlier)))
    return found


def agreement(review: Review) -> StrOrPromise:
    """Name how the opinion stands to what the model had said."""
    if review.analysis.status == Status.HUMAN_ONLY:
        return words.MODEL_LEFT_OUT
    if not review.model_category:
        return words.MODEL_SILENT
    if review.model_category == Category.SUSPICIOUS.value:
        return words.MODEL_DEFERRED
    if not review.overrides_the_model:
        return words.AGREEMENT
    if review.opinion in _CANCER and review.model_category in _CANCER:
        return words.BOTH_CANCER
    return words.OVERRIDE


def human_help(owner: User, analysis: Analysis | None = None) -> HumanHelp:
    """Say which dermatologists `owner` shares with, and whether `analysis` waits for one."""
    active = CareRelationship.objects.active().filter(patient=owner)
    shares = list(active.select_related("dermatologist"))
    if analysis is not None:
        everything = CareRelationship.Scope.EVERYTHING
        shares = [
            share
            for share in shares
            if share.scope == everything or share.consented_at <= analysis.created_at
        ]
    return HumanHelp(
        names=tuple(name_of(share.dermatologist) for share in shares),
        waiting=analysis is not None and analysis.held_until is not None,
    )


def _answer(review: Review, earlier: tuple[Answer, ...] = ()) -> Answer:
    opinion = words.OPINIONS[Opinion(review.opinion).value]
    return Answer(review, words.ADVICE[review.advice], opinion, earlier)
