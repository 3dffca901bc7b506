"""What may happen to an analysis after intake: the worker's only door into the database.

Every write names the attempt that it was made for and applies only while that attempt is RUNNING:
a stale worker writes nothing. Times that are compared are the database's own, so that the clocks
of the workers do not matter.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from analyses import images, purging, queue, turns
from analyses.models import Analysis, DeletionEvent, FailureCode, HoldKind, Result, Status
from inference_worker.verdict import Category

if TYPE_CHECKING:
    import uuid
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from analyses.models.analysis import AnalysisQuerySet
    from inference_worker.verdict import Classification, Stage, Verdict

logger = logging.getLogger(__name__)


class ClaimLostError(Exception):
    """The attempt is no longer the running one: another worker has it, or it has ended."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one analysis, for one attempt."""

    analysis_id: uuid.UUID
    attempt: int
    image_type: str


def claim(analysis_id: uuid.UUID, *, worker: str = "") -> Claim | None:
    """Take the analysis whose turn it is, counting the attempt; None when none waits.

    `analysis_id` is the message's, and any message stands for any analysis that waits. Its own is
    taken out of turn only in the moment before it is noted as sent.
    """
    queued = Analysis.objects.filter(status=Status.QUEUED)
    with transaction.atomic():
        taken = _take(queued.filter(enqueued_at__isnull=True), analysis_id, worker)
        # Where another worker was faster, somebody else is next.
        while taken is None and (next_id := turns.next_one()) is not None:
            taken = _take(queued, next_id, worker)
        if taken is not None:
            turns.pass_on([taken.analysis_id])
    return taken


def claim_company(first: Claim, *, most: int, worker: str = "") -> list[Claim]:
    """Take up to `most` analyses that wait now, in turn, to be worked on beside `first`.

    Only what has never been tried is tried in company, `first` included. If the worker dies nobody
    knows by whose photo, so each is tried again by itself, and this attempt counts against none.
    """
    if most < 1 or first.attempt > 1:
        return []
    new = Analysis.objects.filter(status=Status.QUEUED, attempts=0)
    with transaction.atomic():
        if not _running(first).select_for_update().exists():
            return []
        # Those are locked already: nobody waits here with locks in hand.
        found = turns.next_ones(most=most)
        taken = [_take(new, analysis_id, worker, uncounted=1) for analysis_id in found]
        company = [claim for claim in taken if claim is not None]
        if company:
            _running(first).update(uncounted_attempts=1)
            turns.pass_on([claim.analysis_id for claim in company])
    return company


def _take(
    waiting: AnalysisQuerySet, analysis_id: uuid.UUID, worker: str, *, uncounted: int = 0
) -> Claim | None:
    """Take this one if it is still among `waiting`; in the caller's transaction.

    The update locks the row until the commit, so what is read after it is this attempt's.
    """
    taken = waiting.filter(id=analysis_id).update(
        status=Status.RUNNING,
        attempts=F("attempts") + 1,
        uncounted_attempts=F("uncounted_attempts") + uncounted,
        claimed_at=Now(),
        claimed_by=worker,
        stage="",
    )
    if not taken:
        return None
    row = Analysis.objects.only("attempts", "image_type").get(id=analysis_id)
    return Claim(analysis_id=analysis_id, attempt=row.attempts, image_type=row.image_type)


def report_stage(claim: Claim, stage: Stage) -> None:
    """Write the stage for the page to show. Raises `ClaimLostError`: going on is no use."""
    if not _running(claim).update(stage=stage.value):
        raise ClaimLostError(f"analysis {claim.analysis_id}, attempt {claim.attempt}")


def load_pixels(claim: Claim) -> NDArray[np.uint8]:
    """Return the photo, uint8 height × width × 3, upright sRGB.

    Raises `ClaimLostError`, and `analyses.images.ImageUnavailableError`.
    """
    analysis = _running(claim).first()
    if analysis is None:
        raise ClaimLostError(f"analysis {claim.analysis_id}, attempt {claim.attempt}")
    return images.read(analysis)


def record(claim: Claim, verdict: Verdict) -> bool:
    """Write the verdict and end the analysis: COMPLETED, or REJECTED where the photo is unusable.

    False, and nothing written, when the claim is stale.
    """
    if verdict.rejection is not None:
        return _end(
            claim,
            Status.REJECTED,
            error_code=verdict.rejection.value,
            quality=_quality(verdict),
        )
    if verdict.classification is None:
        raise ValueError("a verdict without a rejection needs a classification")
    with transaction.atomic():
        if not _running(claim).select_for_update().exists():
            return False
        result = _create_result(verdict, verdict.classification)
        return _end(
            claim,
            Status.COMPLETED,
            category=verdict.classification.category,
            result=result,
            quality=_quality(verdict),
        )


def fail(claim: Claim, code: str) -> bool:
    """End the analysis with a named failure. False when the claim is stale."""
    return _end(claim, Status.FAILED, error_code=code)


def give_up(claim: Claim, code: str) -> bool:
    """End the attempt with a named failure; made in company, it is made again alone instead.

    For failures of which the company may be the cause. False when the claim is stale.
    """
    if _running(claim).filter(uncounted_attempts=claim.attempt).exists():
        return release(claim.analysis_id, attempt=claim.attempt)
    return fail(claim, code)


def release(analysis_id: uuid.UUID, *, attempt: int, counted: bool = True) -> bool:
    """Give up an attempt whose worker is gone: to be tried again, or FAILED when out of attempts.

    An attempt that is not `counted` leaves the photo as many as it had, `MAX_ATTEMPTS` times at
    most: what ended it may be the photo's doing after all. False when it is no longer running.
    """
    lost = Claim(analysis_id=analysis_id, attempt=attempt, image_type="")
    uncounted = _running(lost).values_list("uncounted_attempts", flat=True).first()
    if uncounted is None:
        return False
    spare = int(not counted and uncounted < min(attempt, settings.MAX_ATTEMPTS))
    if attempt - uncounted - spare >= settings.MAX_ATTEMPTS:
        return fail(lost, FailureCode.TOO_MANY_ATTEMPTS)
    released = _running(lost).update(
        status=Status.QUEUED,
        stage="",
        claimed_by="",
        claimed_at=None,
        enqueued_at=None,
        uncounted_attempts=F("uncounted_attempts") + spare,
    )
    if released:
        queue.enqueue(analysis_id)
    return bool(released)


def release_lost(*, worker: str, counted: bool = True) -> int:
    """Give up every attempt that `worker` holds, as `release` does; return how many."""
    return sum(
        release(claim.analysis_id, attempt=claim.attempt, counted=counted)
        for claim in _held(worker)
    )


def give_up_lost(*, worker: str, code: str) -> int:
    """Give up every attempt that `worker` holds, as `give_up` does; return how many."""
    return sum(give_up(claim, code) for claim in _held(worker))


def _held(worker: str) -> list[Claim]:
    held = Analysis.objects.filter(status=Status.RUNNING, claimed_by=worker)
    return [
        Claim(analysis_id=row.id, attempt=row.attempts, image_type=row.image_type)
        for row in held.only("attempts", "image_type")
    ]


def _running(claim: Claim) -> AnalysisQuerySet:
    return Analysis.objects.filter(
        id=claim.analysis_id, attempts=claim.attempt, status=Status.RUNNING
    )


def _end(claim: Claim, status: Status, *, category: Category | None = None, **fields: Any) -> bool:
    """Write a terminal state, and forget the image's key unless a review hold opens."""
    with transaction.atomic():
        analysis = _running(claim).select_for_update().first()
        if analysis is None:
            return False
        held_until = _hold(analysis, category, fields.get("error_code", ""))
        if held_until is None:
            fields["image_key"] = None
            transaction.on_commit(
                lambda: purging.remove_image(
                    claim.analysis_id, reason=DeletionEvent.Reason.TERMINAL
                )
            )
        _running(claim).update(
            status=status, stage="", completed_at=Now(), held_until=held_until, **fields
        )
    return True


def _hold(analysis: Analysis, category: Category | None, error_code: str) -> datetime | None:
    """Return until when the photo is kept for a dermatologist, None when it is deleted now."""
    asked = analysis.hold_kind == HoldKind.HUMAN_REQUESTED
    deferred = analysis.hold_kind == HoldKind.GATE_DEFERRED and category is Category.SUSPICIOUS
    if not (asked or deferred) or error_code == FailureCode.IMAGE_UNAVAILABLE:
        return None
    return timezone.now() + timedelta(days=settings.REVIEW_HOLD_DAYS)


def _quality(verdict: Verdict) -> dict[str, Any]:
    quality: dict[str, Any] = verdict.to_dict()["quality"]
    return quality


def _create_result(verdict: Verdict, said: Classification) -> Result:
    plain = verdict.to_dict()
    opinion = plain["classification"]
    return Result.objects.create(
        category=said.category.value,
        decided=said.decided,
        confidence=said.confidence,
        gate=said.gate.value,
        threshold=said.threshold,
        p_malignant=said.p_malignant,
        p_melanoma=said.p_melanoma,
        probabilities=opinion["probabilities"],
        members=opinion["members"],
        votes=opinion["votes"],
        outline=plain["outline"],
        measurements=plain["measurements"],
        heatmap=plain["heatmap"],
        timings=plain["timings"],
        bundle_name=verdict.bundle.name,
        bundle_version=verdict.bundle.version,
        bundle_sha256=verdict.bundle.sha256,
    )
