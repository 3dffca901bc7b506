"""Reviewing: the opinion comes first, the hold ends with it, every version stays."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db.models import F
from django.utils import timezone

from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship
from accounts.care.services import revoke
from analyses import reviews, storage
from analyses.models import Advice, Analysis, DeletionEvent, Opinion, Review
from inference_worker.verdict import Category
from tests.cases import Case, make_case, make_ended
from tests.factories import make_analysis, make_user

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import DjangoCaptureOnCommitCallbacks

    from accounts.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]


@pytest.fixture
def case() -> Case:
    return make_case()


def write(case: Case, opinion: Opinion = Opinion.BENIGN, author: User | None = None) -> Review:
    return reviews.write(
        analysis_id=case.analysis.pk,
        author=author or case.bob,
        opinion=opinion,
        advice=Advice.WATCH,
        note="as I see it",
    )


def test_the_output_is_hidden_until_the_opinion_is_written(case: Case) -> None:
    assert reviews.opinion_comes_first(case.bob, case.analysis)
    review = write(case)
    assert review.blind
    assert not reviews.opinion_comes_first(case.bob, case.analysis)


def test_the_owner_is_never_kept_from_the_output(case: Case) -> None:
    assert not reviews.opinion_comes_first(case.alice, case.analysis)


def test_an_analysis_without_a_hold_hides_nothing(case: Case) -> None:
    plain = make_ended(case.alice)
    assert not reviews.opinion_comes_first(case.bob, plain)
    assert reviews.withheld_from(case.bob) == {case.analysis.pk}


def test_asking_for_the_output_first_is_noted_and_ends_the_blindness(case: Case) -> None:
    reviews.reveal(analysis_id=case.analysis.pk, to=case.bob)
    reviews.reveal(analysis_id=case.analysis.pk, to=case.bob)
    assert not reviews.opinion_comes_first(case.bob, case.analysis)
    noted = AuditEvent.objects.filter(action=Action.READ, details__before_opinion=True)
    assert noted.count() == 1
    assert not write(case).blind


def test_the_photo_goes_with_the_review(
    case: Case,
    image_store: Path,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    assert list(image_store.iterdir())
    with django_capture_on_commit_callbacks() as after_the_commit:
        assert write(case).saw_photo
    case.analysis.refresh_from_db()
    # The key is gone with the commit: a process that is killed here leaves noise.
    assert case.analysis.image_key is None
    assert case.analysis.held_until is None
    for callback in after_the_commit:
        callback()
    case.analysis.refresh_from_db()
    assert case.analysis.image_purged_at is not None
    assert storage.size(case.analysis.pk) == 0
    assert case.analysis.deletions.get().reason == DeletionEvent.Reason.HOLD_ENDED


def test_a_second_review_of_the_same_author_is_refused(case: Case) -> None:
    write(case)
    with pytest.raises(reviews.AlreadyReviewedError):
        write(case)
    assert Review.objects.count() == 1


def test_amending_keeps_every_earlier_version(case: Case) -> None:
    first = write(case)
    for opinion in (Opinion.MALIGNANT, Opinion.MELANOMA):
        newest = reviews.own_review(case.bob, case.analysis)
        assert newest is not None
        reviews.amend(
            review_id=newest.pk, author=case.bob, opinion=opinion, advice=Advice.SOON, note=""
        )
    versions = Review.objects.order_by("created_at").values_list("opinion", flat=True)
    assert list(versions) == ["benign", "malignant", "melanoma"]
    current = reviews.own_review(case.bob, case.analysis)
    assert current is not None
    assert current.opinion == Opinion.MELANOMA
    assert not current.blind
    with pytest.raises(reviews.NotReviewableError):
        reviews.amend(
            review_id=first.pk, author=case.bob, opinion=Opinion.BENIGN, advice=Advice.WATCH
        )


def test_nobody_amends_what_another_wrote(case: Case) -> None:
    CareRelationship.objects.create(
        patient=case.alice, dermatologist=case.charlie, wording_version="1"
    )
    review = write(case)
    with pytest.raises(reviews.NotReviewableError):
        reviews.amend(
            review_id=review.pk, author=case.charlie, opinion=Opinion.BENIGN, advice=Advice.WATCH
        )


def test_only_whom_it_is_shared_with_can_review(case: Case) -> None:
    for stranger in (case.charlie, case.alice, make_user("root", role="admin")):
        with pytest.raises(reviews.NotReviewableError):
            write(case, author=stranger)
        with pytest.raises(reviews.NotReviewableError):
            reviews.reveal(analysis_id=case.analysis.pk, to=stranger)
    assert not Review.objects.exists()


def test_ending_the_sharing_ends_reviewing_and_amending(case: Case) -> None:
    review = write(case)
    share = CareRelationship.objects.get()
    revoke(relationship_id=share.pk, by=case.alice)
    assert not reviews.worklist(case.bob).exists()
    with pytest.raises(reviews.NotReviewableError):
        reviews.amend(
            review_id=review.pk, author=case.bob, opinion=Opinion.BENIGN, advice=Advice.WATCH
        )


def test_an_unfinished_analysis_cannot_be_reviewed(case: Case) -> None:
    pending = make_analysis(case.alice)
    with pytest.raises(reviews.NotReviewableError):
        reviews.write(
            analysis_id=pending.pk, author=case.bob, opinion=Opinion.BENIGN, advice=Advice.WATCH
        )


@pytest.mark.parametrize(
    ("model", "opinion", "overrides"),
    [
        (Category.BENIGN, Opinion.BENIGN, False),
        (Category.BENIGN, Opinion.MELANOMA, True),
        (Category.MELANOMA, Opinion.BENIGN, True),
        (Category.SUSPICIOUS, Opinion.MELANOMA, False),
    ],
)
def test_an_override_stands_in_the_trail(
    model: Category, opinion: Opinion, *, overrides: bool
) -> None:
    case = make_case(model)
    review = write(case, opinion)
    assert review.overrides_the_model is overrides
    event = AuditEvent.objects.get(action=Action.REVIEWED)
    assert event.details == {"overrides": overrides}
    assert (event.actor_id, event.subject_id) == (case.bob.pk, case.alice.pk)


def test_the_worklist_is_ordered_by_risk_and_then_by_age(case: Case) -> None:
    high = make_ended(case.alice, Category.MELANOMA, held=True)
    older = make_ended(case.alice, Category.SUSPICIOUS, held=True)
    low = make_ended(case.alice, Category.BENIGN, held=True)
    Analysis.objects.filter(pk=older.pk).update(created_at=timezone.now() - timedelta(days=2))
    assert list(reviews.worklist(case.bob)) == [high, older, case.analysis, low]


def test_the_worklist_holds_only_what_waits(case: Case) -> None:
    make_ended(case.alice)  # nobody asked for a human
    make_ended(make_user("mallory"), held=True)  # not shared
    make_ended(case.bob, held=True)  # one's own
    assert list(reviews.worklist(case.bob)) == [case.analysis]
    assert not reviews.worklist(case.charlie).exists()
    write(case)
    assert not reviews.worklist(case.bob).exists()


def test_sharing_from_now_on_gives_no_earlier_case(case: Case) -> None:
    CareRelationship.objects.create(
        patient=case.alice,
        dermatologist=case.charlie,
        wording_version="1",
        scope=CareRelationship.Scope.FROM_NOW_ON,
        consented_at=timezone.now(),
    )
    assert not reviews.worklist(case.charlie).exists()
    CareRelationship.objects.filter(dermatologist=case.charlie).update(
        consented_at=F("consented_at") - timedelta(hours=1)
    )
    assert list(reviews.worklist(case.charlie)) == [case.analysis]


def test_the_authors_name_stays_when_the_account_goes(case: Case) -> None:
    review = write(case)
    case.bob.delete()
    review.refresh_from_db()
    assert review.author is None
    assert review.author_name == "Bob"


def test_an_author_whose_account_was_erased_meanwhile_writes_nothing(case: Case) -> None:
    type(case.bob).objects.filter(pk=case.bob.pk).delete()
    with pytest.raises(reviews.NotReviewableError):
        write(case)
    assert not Review.objects.exists()
