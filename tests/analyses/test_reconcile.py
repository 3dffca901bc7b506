"""What killed processes left is mended, and what is well is left alone."""

from __future__ import annotations

import os
import time
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.cache import cache
from django.utils import timezone

from analyses import leases, lifecycle, queue, reconcile, storage
from analyses.models import Analysis, DeletionEvent, HoldKind, Status
from analyses.reconcile import Mended
from inference_worker.verdict import Category
from tests.factories import make_analysis, make_verdict

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("image_store", "inference_queue"),
]
LONG_AGO = timedelta(hours=2)


def age(analysis_id: uuid.UUID, field: str, by: timedelta = LONG_AGO) -> None:
    Analysis.objects.filter(id=analysis_id).update(**{field: timezone.now() - by})


def claimed(worker: str, **options: object) -> lifecycle.Claim:
    claim = lifecycle.claim(make_analysis(**options).id, worker=worker)
    assert claim is not None
    return claim


def lose_all_messages() -> None:
    from dermai.celery import app

    with app.connection_for_write() as connection:
        connection.default_channel.queue_purge("inference")


def test_nothing_to_do_changes_nothing() -> None:
    analysis, claim = make_analysis(), claimed("alive")
    leases.renew("alive", ["inference"])
    age(claim.analysis_id, "claimed_at", timedelta(seconds=90))
    before = list(Analysis.objects.order_by("id").values())
    lose = queue.waiting_messages()
    assert reconcile.reconcile() == Mended()
    assert list(Analysis.objects.order_by("id").values()) == before
    assert queue.waiting_messages() == lose
    assert analysis.status == Status.QUEUED


def test_what_was_never_sent_is_sent() -> None:
    analysis = make_analysis()
    lose_all_messages()
    Analysis.objects.update(enqueued_at=None)
    assert reconcile.enqueue_forgotten() == 1
    analysis.refresh_from_db()
    assert analysis.enqueued_at is not None
    assert queue.waiting_messages() == 1
    assert reconcile.enqueue_forgotten() == 0


def test_a_long_backlog_is_not_stale() -> None:
    for _ in range(3):
        age(make_analysis().id, "enqueued_at")
    assert reconcile.enqueue_forgotten() == 0
    assert queue.waiting_messages() == 3


def test_lost_messages_are_sent_again_the_oldest_first_and_no_more_than_are_lost() -> None:
    rows = [make_analysis() for _ in range(3)]
    for hours, row in zip((3, 2, 1), rows, strict=True):
        age(row.id, "enqueued_at", timedelta(hours=hours))
    lose_all_messages()
    for row in rows[1:]:
        queue.enqueue(row.id)
        age(row.id, "enqueued_at")
    assert reconcile.enqueue_forgotten() == 1
    rows[0].refresh_from_db()
    assert rows[0].enqueued_at > timezone.now() - timedelta(minutes=1)
    assert queue.waiting_messages() == 3


def test_a_message_that_was_only_just_sent_may_be_in_a_workers_hand() -> None:
    make_analysis()
    lose_all_messages()
    assert reconcile.enqueue_forgotten() == 0


def test_the_work_of_a_worker_whose_lease_lapsed_is_taken_up() -> None:
    claim = claimed("dead")
    age(claim.analysis_id, "claimed_at", timedelta(seconds=90))
    assert reconcile.release_abandoned() == 1
    analysis = Analysis.objects.get()
    assert (analysis.status, analysis.attempts, analysis.claimed_by) == ("QUEUED", 1, "")


def test_a_fresh_claim_is_trusted_without_a_lease() -> None:
    claimed("new")
    assert reconcile.release_abandoned() == 0


def test_a_claim_beyond_every_time_limit_is_given_up_though_the_worker_lives() -> None:
    claim = claimed("alive")
    leases.renew("alive", ["inference"])
    age(claim.analysis_id, "claimed_at")
    assert reconcile.release_abandoned() == 1


def test_the_third_lost_attempt_is_the_last(image_store: Path) -> None:
    claim = claimed("dead")
    Analysis.objects.update(attempts=3)
    age(claim.analysis_id, "claimed_at")
    assert reconcile.release_abandoned() == 1
    analysis = Analysis.objects.get()
    assert (analysis.status, analysis.error_code) == (Status.FAILED, "too_many_attempts")
    assert not list(image_store.iterdir())


def test_without_a_cache_no_lease_counts_as_lapsed(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = claimed("unknown")
    age(claim.analysis_id, "claimed_at", timedelta(seconds=90))
    monkeypatch.setattr(cache, "get_many", _broken)
    assert reconcile.release_abandoned() == 0


def _broken(*_: object) -> None:
    raise ConnectionError


def test_a_deletion_that_was_cut_off_is_finished(image_store: Path) -> None:
    claim = claimed("w")
    kept = storage.get(claim.analysis_id)
    lifecycle.record(claim, make_verdict())
    # As after a kill between the commit and the deletion of the file.
    storage.put(claim.analysis_id, kept)
    DeletionEvent.objects.all().delete()
    Analysis.objects.update(image_purged_at=None)
    assert reconcile.purge_leftovers() == 1
    assert Analysis.objects.get().image_purged_at is not None
    assert not list(image_store.iterdir())
    assert DeletionEvent.objects.get().size_bytes == len(kept)
    assert reconcile.purge_leftovers() == 0


def test_a_photo_goes_when_its_hold_ends_and_not_before(image_store: Path) -> None:
    claim = claimed("w", hold_kind=HoldKind.GATE_DEFERRED.value)
    lifecycle.record(claim, make_verdict(Category.SUSPICIOUS))
    assert reconcile.purge_leftovers() == 0
    assert len(list(image_store.iterdir())) == 1
    age(claim.analysis_id, "held_until", timedelta(seconds=1))
    assert reconcile.purge_leftovers() == 1
    analysis = Analysis.objects.get()
    assert (analysis.image_key, analysis.held_until) == (None, None)
    assert analysis.image_purged_at is not None
    assert DeletionEvent.objects.get().reason == DeletionEvent.Reason.HOLD_ENDED
    assert not list(image_store.iterdir())


def test_files_without_a_row_are_deleted_once_they_are_old(image_store: Path) -> None:
    mine = make_analysis()
    orphan = uuid.uuid4()
    storage.put(orphan, b"sealed")
    assert reconcile.delete_orphans() == 0
    long_ago = time.time() - LONG_AGO.total_seconds()
    for file in image_store.iterdir():
        os.utime(file, (long_ago, long_ago))
    assert reconcile.delete_orphans() == 1
    assert [path.name for path in image_store.iterdir()] == [f"{mine.id}.sealed"]


def test_the_place_in_the_queue_and_the_expected_time() -> None:
    from analyses.selectors import expected_seconds
    from analyses.turns import position

    first, second = make_analysis(), make_analysis()
    assert (position(first), position(second)) == (1, 2)
    assert expected_seconds(first) is None
    claim = lifecycle.claim(first.id)
    assert claim is not None
    lifecycle.record(claim, make_verdict())
    ended = timezone.now()
    Analysis.objects.filter(id=first.id).update(
        claimed_at=ended - timedelta(seconds=8), completed_at=ended
    )
    first.refresh_from_db()
    assert (position(first), position(second)) == (0, 1)
    assert expected_seconds(first) == 0
    assert expected_seconds(second) == pytest.approx(8, abs=1)
    third = make_analysis()
    assert expected_seconds(third) == pytest.approx(16, abs=2)
