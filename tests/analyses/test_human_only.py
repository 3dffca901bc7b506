"""A photo that its owner left to a human: no worker is asked, and it ends as other holds do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.care.services import share
from accounts.models import Role
from analyses import answers, erasure, export, holdings, lifecycle, queue, reconcile, reviews
from analyses.models import Advice, Analysis, DeletionEvent, HoldKind, Opinion, Status
from analyses.wording.reviews import MODEL_LEFT_OUT
from tests.cases import EVERYTHING
from tests.factories import make_analysis, make_user

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("image_store", "inference_queue"),
]


def left_to_a_human(**options: object) -> Analysis:
    return make_analysis(hold_kind=HoldKind.HUMAN_ONLY.value, hold_wording_version="1", **options)


def test_it_is_held_from_the_start_and_the_worker_is_never_asked(image_store: Path) -> None:
    analysis = left_to_a_human()

    assert (analysis.status, analysis.result) == (Status.HUMAN_ONLY, None)
    assert analysis.held_until is not None
    kept_for = analysis.held_until - analysis.created_at
    assert abs(kept_for - timedelta(days=settings.REVIEW_HOLD_DAYS)) < timedelta(minutes=1)
    assert queue.waiting_messages() == 0
    assert len(list(image_store.iterdir())) == 1


def test_a_worker_that_is_asked_all_the_same_has_nothing_to_take() -> None:
    assert lifecycle.claim(left_to_a_human().pk) is None


def test_reconcile_neither_sends_it_nor_ends_its_hold_early(image_store: Path) -> None:
    analysis = left_to_a_human()
    Analysis.objects.filter(pk=analysis.pk).update(created_at=timezone.now() - timedelta(days=2))

    assert reconcile.reconcile() == reconcile.Mended()

    assert queue.waiting_messages() == 0
    assert len(list(image_store.iterdir())) == 1
    assert holdings.take_stock().leftovers.total == 0


def test_a_hold_that_nobody_answers_ends_in_a_deleted_photo(image_store: Path) -> None:
    analysis = left_to_a_human()
    Analysis.objects.filter(pk=analysis.pk).update(held_until=timezone.now() - timedelta(hours=1))

    assert reconcile.reconcile().purged == 1

    analysis.refresh_from_db()
    assert (analysis.status, analysis.image_key) == (Status.HUMAN_ONLY, None)
    assert analysis.image_purged_at is not None
    assert not list(image_store.iterdir())
    assert DeletionEvent.objects.get().reason == DeletionEvent.Reason.HOLD_ENDED


def test_an_answer_ends_the_hold_and_tells_that_no_model_was_asked(image_store: Path) -> None:
    alice, bob = make_user("alice"), make_user("bob", role=Role.DERMATOLOGIST)
    share(patient=alice, reference=bob.email, scope=EVERYTHING)
    analysis = left_to_a_human(owner=alice)
    assert [found.pk for found in reviews.worklist(bob)] == [analysis.pk]

    review = reviews.write(
        analysis_id=analysis.pk, author=bob, opinion=Opinion.BENIGN, advice=Advice.WATCH
    )

    assert (review.saw_photo, review.model_category) == (True, "")
    assert answers.agreement(review) == MODEL_LEFT_OUT
    assert not list(image_store.iterdir())
    assert not reviews.worklist(bob).exists()


def test_withdrawing_the_consent_deletes_the_photo_at_once(image_store: Path) -> None:
    analysis = left_to_a_human()

    erasure.withdraw_consent(analysis.owner)

    assert not list(image_store.iterdir())


def test_the_export_names_the_state_and_no_numbers() -> None:
    analysis = left_to_a_human()

    header, line = (
        text.strip().split(",") for text in export.lines(Analysis.objects.filter(pk=analysis.pk))
    )

    row = dict(zip(header, line, strict=True))
    assert row["status"] == "HUMAN_ONLY"
    assert (row["category"], row["p_malignant"], row["benign"]) == ("", "", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"hold_kind": HoldKind.HUMAN_REQUESTED},
        {"status": Status.QUEUED, "completed_at": None},
        {"completed_at": None},
        {"held_until": None},
    ],
)
def test_the_database_refuses_half_a_state(changes: dict[str, object]) -> None:
    analysis = left_to_a_human()

    with pytest.raises(IntegrityError), transaction.atomic():
        Analysis.objects.filter(pk=analysis.pk).update(**changes)
