"""Erasure: what goes, what stays, and that a restored backup forgets it again."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command

from accounts import consent
from accounts.audit.chain import verify
from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship
from accounts.models import ApiToken, Consent, User
from accounts.people import LastAdminError
from accounts.tokens import issue
from analyses import erasure, reviews, storage, tombstones
from analyses.exceptions import ConsentWithdrawnError
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
from tests.factories import make_analysis, make_lesion, make_user

if TYPE_CHECKING:
    from pathlib import Path

    import pytest_django
    from pytest_django import DjangoCaptureOnCommitCallbacks

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]


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
    consent.give_health_data_consent(case.alice)
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
    for model in (Lesion, Review, CareRelationship, Consent, ApiToken, DeletionEvent, LogEntry):
        left = model.objects.all()  # type: ignore[attr-defined]
        assert [row for row in left if getattr(row, "analysis_id", None) != other.pk] == []
    assert {image_id for image_id, _written in storage.stored()} == set()
    trail = json.dumps(list(AuditEvent.objects.values("details", "object_id")))
    assert email not in trail
    assert verify() == []
    stone = Tombstone.objects.get(kind="account")
    assert str(pk) not in f"{stone.digest}{erasure_log.read_text()}"
    assert stone.digest in erasure_log.read_text()


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


def test_a_restored_backup_forgets_again_what_was_erased(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, erasure_log: Path
) -> None:
    alice, mallory = make_user("alice"), make_user("mallory")
    lesion = make_lesion(mallory)
    in_lesion, single = make_ended(mallory, lesion=lesion), make_ended(mallory)
    kept = make_ended(mallory)
    ids = (alice.pk, lesion.pk, single.pk)
    with django_capture_on_commit_callbacks(execute=True):
        erasure.erase_account(alice)
        erasure.delete_lesion(lesion_id=lesion.pk, by=mallory)
        erasure.delete_analysis(analysis_id=single.pk, by=mallory)
    # The backup: the records are there again, and its table knows of no erasure.
    Tombstone.objects.all().delete()
    User.objects.create(pk=ids[0], email="alice@example.org")
    Lesion.objects.create(pk=ids[1], owner=mallory, name="back")
    for pk, of in ((in_lesion.pk, ids[1]), (ids[2], None)):
        Analysis.objects.create(
            pk=pk, owner=mallory, lesion_id=of, sha256="0" * 64, width=9, height=9, image_key=b"k"
        )
    out = io.StringIO()
    call_command("replay_erasures", stdout=out)
    assert "4 tombstones read; erased again: 1 accounts, 1 lesions, 1 analyses." in out.getvalue()
    assert list(Analysis.objects.all()) == [kept]
    assert list(User.objects.all()) == [mallory]
    assert Tombstone.objects.count() == 4
    out = io.StringIO()
    call_command("replay_erasures", stdout=out)
    assert "erased again: 0 accounts, 0 lesions, 0 analyses." in out.getvalue()
    assert tombstones.missing_in_file() == []


def test_a_broken_or_absent_file_of_tombstones_is_named(erasure_log: Path, tmp_path: Path) -> None:
    erasure_log.write_text('{"kind": "account"}\n')
    with pytest.raises(CommandError, match="line 1, is no tombstone"):
        call_command("replay_erasures")
    erasure_log.unlink()
    with pytest.raises(CommandError, match="There is no file"):
        call_command("replay_erasures", str(tmp_path / "absent.log"))


def test_the_file_of_tombstones_is_private_and_only_grows(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, erasure_log: Path
) -> None:
    alice = make_user("alice")
    first, second = make_ended(alice), make_ended(alice)
    for analysis in (first, second):
        with django_capture_on_commit_callbacks(execute=True):
            erasure.delete_analysis(analysis_id=analysis.pk, by=alice)
    assert len(erasure_log.read_text().splitlines()) == 2
    assert erasure_log.stat().st_mode & 0o777 == 0o600


def test_withdrawing_the_consent_stops_processing_holding_and_sharing(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        case = make_case()
        waiting = make_analysis(case.alice)
        done = make_ended(case.alice)
    consent.give_health_data_consent(case.alice)
    assert len(list(storage.stored())) == 2
    with django_capture_on_commit_callbacks(execute=True):
        erasure.withdraw_consent(case.alice)
    assert consent.has_withdrawn(case.alice)
    assert not Analysis.objects.filter(pk=waiting.pk).exists()
    assert Analysis.objects.filter(pk=done.pk).exists()
    case.analysis.refresh_from_db()
    assert case.analysis.image_key is None
    assert not list(storage.stored())
    assert not CareRelationship.objects.granting(case.bob).exists()
    with pytest.raises(ConsentWithdrawnError):
        make_analysis(case.alice)
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {Action.CONSENT_WITHDRAWN, Action.UNSHARED, Action.DELETED} <= actions


def test_the_consent_can_be_given_again() -> None:
    alice = make_user("alice")
    consent.give_health_data_consent(alice)
    erasure.withdraw_consent(alice)
    consent.give_health_data_consent(alice)
    assert make_analysis(alice).pk


def test_somebody_who_was_never_asked_has_withdrawn_nothing() -> None:
    assert not consent.has_withdrawn(make_user("invited"))
