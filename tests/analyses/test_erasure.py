"""Erasure: what goes with whom, and what stays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from accounts import consent
from accounts.audit.chain import verify
from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship
from accounts.models import ApiToken, Consent, User
from accounts.people import LastAdminError
from accounts.post import letters
from accounts.tokens import issue
from analyses import erasure, reviews, storage
from analyses.exceptions import ConsentMissingError
from analyses.models import (
    Advice,
    Analysis,
    DeletionEvent,
    Lesion,
    Opinion,
    Result,
    Review,
    Tombstone,
)
from tests.cases import make_case, make_ended
from tests.factories import PASSWORD, make_analysis, make_lesion, make_user

if TYPE_CHECKING:
    from pathlib import Path

    import pytest_django
    from pytest_django import DjangoCaptureOnCommitCallbacks

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("image_store", "inference_queue"),
]


@pytest.fixture(autouse=True)
def erasure_log(tmp_path: Path, settings: pytest_django.fixtures.SettingsWrapper) -> Path:
    settings.ERASURE_LOG = tmp_path / "erasures.log"
    return tmp_path / "erasures.log"


def test_deleting_an_analysis_takes_result_reviews_and_picture_at_once(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    case = make_case()
    kept = make_ended(case.alice)
    assert storage.size(case.analysis.pk)
    with django_capture_on_commit_callbacks(execute=True):
        erasure.delete_analysis(analysis_id=case.analysis.pk, by=case.alice)
    assert list(Analysis.objects.all()) == [kept]
    assert Result.objects.count() == 1
    assert storage.size(case.analysis.pk) == 0
    event = AuditEvent.objects.get(action=Action.DELETED)
    assert (event.actor_id, event.object_id) == (case.alice.pk, str(case.analysis.pk))


def test_nobody_deletes_what_is_anothers() -> None:
    case = make_case()
    lesion = make_lesion(case.alice)
    for stranger in (case.bob, case.charlie, make_user("root", role="admin")):
        with pytest.raises(erasure.NotYoursError):
            erasure.delete_analysis(analysis_id=case.analysis.pk, by=stranger)
        with pytest.raises(erasure.NotYoursError):
            erasure.delete_lesion(lesion_id=lesion.pk, by=stranger)
    assert Analysis.objects.exists()
    assert not Tombstone.objects.exists()


def test_deleting_a_lesion_takes_its_analyses_and_no_others() -> None:
    alice = make_user("alice")
    lesion = make_lesion(alice)
    make_ended(alice, lesion=lesion)
    make_ended(alice, lesion=lesion)
    other = make_ended(alice)
    assert erasure.delete_lesion(lesion_id=lesion.pk, by=alice) == 2
    assert list(Analysis.objects.all()) == [other]
    assert not Lesion.objects.exists()


def test_erasing_an_account_leaves_nothing_of_the_person_but_a_number(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, erasure_log: Path
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        case = make_case()
        other = make_ended(case.bob)
        make_analysis(case.alice)  # still waiting
    make_lesion(case.alice)
    issue(case.alice)
    reviews.write(
        analysis_id=case.analysis.pk, author=case.bob, opinion=Opinion.BENIGN, advice=Advice.WATCH
    )
    LogEntry.objects.create(
        user=make_user("root", role="admin"),
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(case.alice.pk),
        object_repr=case.alice.email,
        action_flag=CHANGE,
    )
    pk, email = case.alice.pk, case.alice.email
    with django_capture_on_commit_callbacks(execute=True):
        erasure.erase_account(case.alice)
    assert not User.objects.filter(pk=pk).exists()
    assert list(Analysis.objects.all()) == [other]
    assert list(Result.objects.all()) == [other.result]
    assert not Consent.objects.filter(user_id=pk).exists()
    for model in (Lesion, Review, CareRelationship, ApiToken, DeletionEvent, LogEntry):
        left = model.objects.all()  # type: ignore[attr-defined]
        assert [row for row in left if getattr(row, "analysis_id", None) != other.pk] == []
    assert {image_id for image_id, _written in storage.stored()} == set()
    trail = json.dumps(list(AuditEvent.objects.values("details", "object_id")))
    assert email not in trail
    assert verify() == []
    stone = Tombstone.objects.get(kind="account")
    assert str(pk) not in f"{stone.digest}{erasure_log.read_text()}"
    assert stone.digest in erasure_log.read_text()


def test_erasing_an_account_leaves_no_session_of_it_anywhere() -> None:
    alice = make_user("alice", password=PASSWORD)
    for _ in range(2):
        client = Client()
        client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
        assert client.get("/dashboard/").status_code == 200
    assert Session.objects.count() == 2
    erasure.erase_account(alice)
    assert not Session.objects.exists()


def test_what_a_dermatologist_wrote_stays_with_the_patients() -> None:
    case = make_case()
    reviews.write(
        analysis_id=case.analysis.pk, author=case.bob, opinion=Opinion.BENIGN, advice=Advice.WATCH
    )
    erasure.erase_account(case.bob)
    assert Review.objects.get().author_name == "Bob"
    assert Analysis.objects.filter(pk=case.analysis.pk).exists()


def test_the_last_administrator_cannot_vanish() -> None:
    root = make_user("root", role="admin")
    with pytest.raises(LastAdminError):
        erasure.erase_account(root)
    make_user("second", role="admin")
    erasure.erase_account(root)
    assert not User.objects.filter(email="root@example.org").exists()


def test_deleting_a_lesion_twice_at_one_moment_is_not_found_the_second_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = make_user("alice")
    lesion = make_lesion(alice)
    client.force_login(alice)
    delete = erasure.delete_lesion

    def too_late(**given: Any) -> int:
        delete(lesion_id=lesion.pk, by=alice)
        return delete(**given)

    monkeypatch.setattr(erasure, "delete_lesion", too_late)
    assert client.delete(reverse("api-lesion", args=[lesion.pk])).status_code == 404


def test_withdrawing_the_consent_stops_processing_holding_and_sharing(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        case = make_case()
        waiting = make_analysis(case.alice)
        done = make_ended(case.alice)
    assert len(list(storage.stored())) == 2
    with django_capture_on_commit_callbacks(execute=True):
        erasure.withdraw_consent(case.alice)
    assert consent.standing(case.alice) is consent.Standing.WITHDRAWN
    assert not Analysis.objects.filter(pk=waiting.pk).exists()
    assert Analysis.objects.filter(pk=done.pk).exists()
    case.analysis.refresh_from_db()
    assert case.analysis.image_key is None
    assert not list(storage.stored())
    assert not CareRelationship.objects.granting(case.bob).exists()
    with pytest.raises(ConsentMissingError):
        make_analysis(case.alice)
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {Action.CONSENT_WITHDRAWN, Action.UNSHARED, Action.DELETED} <= actions


def test_beyond_the_limit_no_password_is_looked_at_before_erasing(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    client.force_login(alice)
    sent = {"password": "wrong", "confirm": "on"}
    assert [client.post("/privacy/erase/", sent).status_code for _ in range(5)] == [422] * 5
    noted = AuditEvent.objects.filter(action=Action.SIGN_IN_FAILED)
    assert noted.count() == 5
    wrong = client.post("/privacy/erase/", sent)
    right = client.post("/privacy/erase/", sent | {"password": PASSWORD})
    assert wrong.status_code == right.status_code == 429
    assert right["Retry-After"]
    assert "Too many tries" in right.content.decode()
    for answer in (wrong, right):
        assert "not your password" not in answer.content.decode()
    assert noted.count() == 5
    assert User.objects.filter(pk=alice.pk).exists()


def test_mails_that_cannot_be_deleted_hold_no_picture_back(
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    def refuse(**_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(letters, "forget_files", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        analysis = make_analysis(make_user("alice"))
    assert [image_id for image_id, _written in storage.stored()] == [analysis.pk]
    with django_capture_on_commit_callbacks(execute=True):
        erasure.erase_account(analysis.owner)
    assert list(storage.stored()) == []


def test_a_wrong_password_before_erasing_stands_in_the_trail(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    client.force_login(alice)
    answer = client.post("/privacy/erase/", {"password": "wrong", "confirm": "on"})
    assert answer.status_code == 422
    assert User.objects.filter(pk=alice.pk).exists()
    event = AuditEvent.objects.get(action=Action.SIGN_IN_FAILED)
    assert event.subject_id == alice.pk
