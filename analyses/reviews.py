"""A dermatologist reviews what a patient shares: the opinion first, the model's output after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, FloatField, OuterRef, Value
from django.db.models.functions import Coalesce

from accounts import locks
from accounts.audit.chain import record
from accounts.audit.models import Action
from analyses import purging
from analyses.models import (
    Advice,
    Analysis,
    DeletionEvent,
    Opinion,
    Reveal,
    Review,
)
from analyses.models.analysis import TERMINAL

if TYPE_CHECKING:
    import uuid

    from accounts.models import User
    from analyses.models.analysis import AnalysisQuerySet

# A photo that the model could not judge is neither high nor low risk: it queues in the middle.
_UNKNOWN_RISK = 0.5


class ReviewError(Exception):
    """A review could not be written. `code` is stable."""

    code = "review_error"


class NotReviewableError(ReviewError):
    """No such analysis for this person, one of their own, or one that has not ended yet."""

    code = "not_reviewable"


class AlreadyReviewedError(ReviewError):
    """This person has reviewed the analysis; amend that review instead."""

    code = "already_reviewed"


def reviewable_by(user: User) -> AnalysisQuerySet:
    """Return what `user` may review: shared with them, not their own, ended."""
    if not user.is_dermatologist:
        return Analysis.objects.none()
    return Analysis.objects.visible_to(user).filter(status__in=TERMINAL).exclude(owner=user)


def worklist(user: User) -> AnalysisQuerySet:
    """Return what waits for `user`'s review, highest risk first, then oldest."""
    reviewed = Review.objects.filter(analysis=OuterRef("pk"), author=user)
    return (
        reviewable_by(user)
        .filter(held_until__isnull=False, image_key__isnull=False)
        .exclude(Exists(reviewed))
        .annotate(
            risk=Coalesce(F("result__p_malignant"), Value(_UNKNOWN_RISK), output_field=FloatField())
        )
        .order_by("-risk", "created_at", "id")
    )


def awaiting_opinion_of(user: User) -> AnalysisQuerySet:
    """Return what `user` sees without the model's output until the opinion is written."""
    if not user.is_dermatologist:
        return Analysis.objects.none()
    own = {"analysis": OuterRef("pk")}
    return (
        Analysis.objects.visible_to(user)
        .exclude(owner=user)
        .filter(held_until__isnull=False)
        .exclude(Exists(Reveal.objects.filter(user=user, **own)))
        .exclude(Exists(Review.objects.filter(author=user, **own)))
    )


def opinion_comes_first(user: User, analysis: Analysis) -> bool:
    """Whether the model's output is still hidden from `user`, whose opinion is asked for."""
    if analysis.owner_id == user.pk or analysis.held_until is None:
        return False
    return awaiting_opinion_of(user).filter(pk=analysis.pk).exists()


def withheld_from(user: User) -> frozenset[uuid.UUID]:
    """Return the ids behind `awaiting_opinion_of`, for lists. They are few: holds last days."""
    return frozenset(awaiting_opinion_of(user).values_list("pk", flat=True))


def own_review(user: User, analysis: Analysis) -> Review | None:
    """Return the newest version of what `user` wrote, None where nothing was written."""
    return Review.objects.current().filter(analysis=analysis, author=user).first()


def reveal(*, analysis_id: uuid.UUID, to: User) -> None:
    """Show the model's output without an opinion; a later review is then not blind.

    Raises `NotReviewableError`.
    """
    with transaction.atomic():
        analysis = _reviewable(analysis_id, to)
        _row, created = Reveal.objects.get_or_create(analysis=analysis, user=to)
        if created:
            _trace(Action.READ, to, analysis, before_opinion=True)


def write(
    *, analysis_id: uuid.UUID, author: User, opinion: Opinion, advice: Advice, note: str = ""
) -> Review:
    """Write the first version of a review; the photo's hold ends with it.

    Raises `NotReviewableError`, `AlreadyReviewedError`.
    """
    try:
        with transaction.atomic():
            analysis = _reviewable(analysis_id, author)
            review = Review.objects.create(
                analysis=analysis,
                author=author,
                author_name=author.name or author.email,
                opinion=opinion,
                advice=advice,
                note=note,
                model_category=analysis.result.category if analysis.result else "",
                blind=opinion_comes_first(author, analysis),
                saw_photo=analysis.image_key is not None,
            )
            # In the same transaction: a review that could not be written must not cost the photo,
            # and one that is written leaves nobody its key.
            purging.forget(Analysis.objects.filter(pk=analysis.pk), DeletionEvent.Reason.HOLD_ENDED)
            _trace(Action.REVIEWED, author, analysis, overrides=review.overrides_the_model)
    except IntegrityError as error:
        raise AlreadyReviewedError from error
    return review


def amend(
    *, review_id: uuid.UUID, author: User, opinion: Opinion, advice: Advice, note: str = ""
) -> Review:
    """Write a new version of the author's own newest one; the earlier versions stay.

    Raises `NotReviewableError`, also when sharing has ended since or somebody amended it first.
    """
    try:
        with transaction.atomic():
            earlier = Review.objects.current().filter(pk=review_id, author=author).first()
            if earlier is None:
                raise NotReviewableError
            analysis = _reviewable(earlier.analysis_id, author)
            review = Review.objects.create(
                analysis=analysis,
                author=author,
                author_name=earlier.author_name,
                opinion=opinion,
                advice=advice,
                note=note,
                model_category=earlier.model_category,
                blind=False,
                saw_photo=earlier.saw_photo,
                supersedes=earlier,
            )
            _trace(Action.REVIEW_AMENDED, author, analysis, overrides=review.overrides_the_model)
    except IntegrityError as error:
        raise NotReviewableError from error
    return review


def _reviewable(analysis_id: uuid.UUID, user: User) -> Analysis:
    """Return the analysis, locked: it must not be deleted under what is written of it.

    Nor may its author be, who is locked before it, in the order of `analyses.locks`.
    """
    if not locks.keep(user.pk):
        raise NotReviewableError
    found = reviewable_by(user).select_related("result").filter(pk=analysis_id)
    analysis = found.select_for_update(of=("self",), no_key=True).first()
    if analysis is None:
        raise NotReviewableError
    return analysis


def _trace(action: Action, actor: User, analysis: Analysis, **details: bool) -> None:
    record(
        action,
        actor=actor,
        subject_id=analysis.owner_id,
        object_type="analysis",
        object_id=str(analysis.pk),
        details=details,
    )
