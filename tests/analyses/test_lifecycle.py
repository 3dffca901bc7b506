"""An analysis ends exactly once, and a stale worker writes nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from analyses import imaging, lifecycle
from analyses.images import ImageUnavailableError
from analyses.models import Analysis, DeletionEvent, FailureCode, HoldKind, Result, Status
from inference_worker.verdict import Category, Rejection, Stage
from tests import images
from tests.factories import make_analysis, make_upload, make_verdict

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("image_store", "inference_queue"),
]


def claimed(**options: object) -> lifecycle.Claim:
    claim = lifecycle.claim(make_analysis(**options).id, worker="w1")
    assert claim is not None
    return claim


def fresh(claim: lifecycle.Claim) -> Analysis:
    return Analysis.objects.get(id=claim.analysis_id)


def test_a_claim_is_given_once() -> None:
    analysis = make_analysis()
    first, second = lifecycle.claim(analysis.id), lifecycle.claim(analysis.id)
    assert first is not None
    assert first.attempt == 1
    assert second is None


def test_the_worker_reads_the_pixels_that_were_uploaded() -> None:
    claim = claimed(
        upload=make_upload(
            images.encode(images.lesion(), "PNG"), name="a.png", media_type="image/png"
        )
    )
    assert np.array_equal(lifecycle.load_pixels(claim), np.asarray(images.lesion()))


def test_a_completed_analysis_has_its_result_and_no_image(image_store: Path) -> None:
    claim = claimed()
    assert len(list(image_store.iterdir())) == 1
    lifecycle.report_stage(claim, Stage.ENSEMBLE)
    assert fresh(claim).stage == "ensemble"
    assert lifecycle.record(claim, make_verdict(Category.MELANOMA))
    done = fresh(claim)
    assert done.status == Status.COMPLETED
    assert done.result is not None
    assert done.result.category == "melanoma"
    assert len(done.result.members) == 5
    assert done.result.bundle_sha256 == "b" * 64
    assert done.image_key is None
    assert done.image_purged_at is not None
    assert done.stage == ""
    assert not list(image_store.iterdir())
    event = DeletionEvent.objects.get()
    assert (event.reason, event.size_bytes > 0) == (DeletionEvent.Reason.TERMINAL, True)


def test_an_unusable_photo_ends_rejected_with_its_code(image_store: Path) -> None:
    claim = claimed()
    assert lifecycle.record(claim, make_verdict(rejection=Rejection.BLURRED))
    done = fresh(claim)
    assert (done.status, done.error_code) == (Status.REJECTED, "blurred")
    assert done.quality is not None
    assert done.quality["sharpness"] == 120.0
    assert done.result is None
    assert not list(image_store.iterdir())


def test_a_failure_is_named_and_deletes_the_image(image_store: Path) -> None:
    claim = claimed()
    assert lifecycle.fail(claim, FailureCode.OUT_OF_MEMORY)
    assert (fresh(claim).status, fresh(claim).error_code) == (Status.FAILED, "out_of_memory")
    assert not list(image_store.iterdir())


def test_nothing_ends_twice() -> None:
    claim = claimed()
    assert lifecycle.record(claim, make_verdict())
    assert not lifecycle.record(claim, make_verdict(Category.MELANOMA))
    assert not lifecycle.fail(claim, "model_error")
    assert fresh(claim).result.category == "benign"
    assert Result.objects.count() == 1


def test_a_stale_worker_writes_nothing() -> None:
    stale = claimed()
    assert lifecycle.release(stale.analysis_id, attempt=stale.attempt)
    newer = lifecycle.claim(stale.analysis_id, worker="w2")
    assert newer is not None
    assert newer.attempt == 2
    with pytest.raises(lifecycle.ClaimLostError):
        lifecycle.report_stage(stale, Stage.HEATMAP)
    with pytest.raises(lifecycle.ClaimLostError):
        lifecycle.load_pixels(stale)
    assert not lifecycle.record(stale, make_verdict(Category.MELANOMA))
    assert not lifecycle.fail(stale, "model_error")
    assert not lifecycle.release(stale.analysis_id, attempt=stale.attempt)
    assert fresh(stale).status == Status.RUNNING
    assert Result.objects.count() == 0
    assert lifecycle.record(newer, make_verdict())
    assert fresh(stale).result.category == "benign"


def test_three_lost_attempts_are_enough(image_store: Path) -> None:
    analysis_id = make_analysis().id
    for attempt in (1, 2, 3):
        claim = lifecycle.claim(analysis_id, worker="w1")
        assert claim is not None
        assert claim.attempt == attempt
        assert lifecycle.release_lost(worker="w1") == 1
    analysis = Analysis.objects.get()
    assert (analysis.status, analysis.error_code) == (Status.FAILED, "too_many_attempts")
    assert not list(image_store.iterdir())


def test_a_worker_gives_up_only_what_it_holds_itself() -> None:
    claim = claimed()
    assert not lifecycle.release_lost(worker="w2")
    assert not lifecycle.give_up_lost(worker="w2", code="time_limit")
    assert fresh(claim).status == Status.RUNNING


@pytest.mark.parametrize(
    ("kind", "category", "held"),
    [
        (HoldKind.NONE, Category.SUSPICIOUS, False),
        (HoldKind.GATE_DEFERRED, Category.SUSPICIOUS, True),
        (HoldKind.GATE_DEFERRED, Category.MELANOMA, False),
        (HoldKind.HUMAN_REQUESTED, Category.BENIGN, True),
    ],
)
def test_a_photo_is_held_only_as_the_person_agreed(
    kind: HoldKind,
    category: Category,
    held: bool,
    image_store: Path,
) -> None:
    claim = claimed(hold_kind=kind.value, hold_wording_version="1")
    lifecycle.record(claim, make_verdict(category))
    done = fresh(claim)
    assert (done.image_key is not None) is held
    assert (done.held_until is not None) is held
    assert (done.image_purged_at is None) is held
    assert bool(list(image_store.iterdir())) is held
    if held:
        days = (done.held_until - timezone.now()) / timedelta(days=1)
        assert 6.9 < days <= 7


def test_a_rejected_photo_is_held_when_a_human_was_asked_for() -> None:
    claim = claimed(hold_kind=HoldKind.HUMAN_REQUESTED.value)
    lifecycle.record(claim, make_verdict(rejection=Rejection.NO_LESION))
    assert fresh(claim).held_until is not None


def test_a_photo_that_was_changed_on_disk_is_not_analysed(image_store: Path) -> None:
    claim = claimed()
    (stored,) = image_store.iterdir()
    body = bytearray(stored.read_bytes())
    body[100] ^= 1
    stored.write_bytes(bytes(body))
    with pytest.raises(ImageUnavailableError):
        lifecycle.load_pixels(claim)


def test_another_analyses_picture_does_not_open(image_store: Path) -> None:
    claim, other = claimed(), claimed()
    mine = image_store / f"{claim.analysis_id}.sealed"
    mine.write_bytes((image_store / f"{other.analysis_id}.sealed").read_bytes())
    with pytest.raises(ImageUnavailableError):
        lifecycle.load_pixels(claim)


def test_erasing_an_analysis_takes_its_picture_and_result_with_it(image_store: Path) -> None:
    claim, waiting = claimed(), make_analysis()
    lifecycle.record(claim, make_verdict())
    Analysis.objects.all().delete()
    assert Result.objects.count() == 0
    assert not list(image_store.iterdir())
    assert waiting.id != claim.analysis_id


@pytest.mark.parametrize(
    "fields",
    [
        {"status": Status.COMPLETED, "completed_at": timezone.now(), "image_key": None},
        {"status": Status.FAILED, "completed_at": timezone.now(), "image_key": None},
        {"status": Status.FAILED, "completed_at": timezone.now(), "error_code": "model_error"},
        {"status": Status.RUNNING, "image_key": None},
        {"status": Status.RUNNING, "completed_at": timezone.now()},
        {"status": "DONE"},
    ],
)
def test_the_database_refuses_half_finished_states(fields: dict[str, object]) -> None:
    analysis = make_analysis()
    with pytest.raises(IntegrityError), transaction.atomic():
        Analysis.objects.filter(id=analysis.id).update(**fields)


def test_the_stored_bytes_hold_nothing_of_the_photo(image_store: Path) -> None:
    make_analysis(
        upload=make_upload(
            images.encode(images.lesion(), "PNG"), name="a.png", media_type="image/png"
        )
    )
    (stored,) = image_store.iterdir()
    row = np.asarray(images.lesion())[0].tobytes()
    assert imaging.pack(np.asarray(images.lesion()))[12:].startswith(row)
    assert row[:24] not in stored.read_bytes()
    assert stored.stat().st_mode & 0o077 == 0
