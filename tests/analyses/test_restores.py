"""What was erased or has ended stays so: tombstones, their file, and a restored backup."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts import consent
from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship
from accounts.care.services import revoke, share
from accounts.models import Consent, User
from analyses import erasure, reconcile, tasks, tombstones
from analyses.holdings import take_stock
from analyses.management.commands import privacy_report
from analyses.models import (
    Analysis,
    Lesion,
    Tombstone,
)
from tests.cases import EVERYTHING, make_case, make_ended
from tests.factories import make_lesion, make_user

if TYPE_CHECKING:
    from pathlib import Path

    import pytest_django
    from django.test import Client
    from pytest_django import DjangoCaptureOnCommitCallbacks

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("image_store", "inference_queue"),
]


@pytest.fixture(autouse=True)
def erasure_log(tmp_path: Path, settings: pytest_django.fixtures.SettingsWrapper) -> Path:
    settings.ERASURE_LOG = tmp_path / "erasures.log"
    return tmp_path / "erasures.log"


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
    assert "4 tombstones read; erased again: 1 accounts, 1 lesions, 2 analyses." in out.getvalue()
    assert list(Analysis.objects.all()) == [kept]
    assert list(User.objects.all()) == [mallory]
    assert Tombstone.objects.count() == 4
    out = io.StringIO()
    call_command("replay_erasures", stdout=out)
    assert "erased again: 0 accounts, 0 lesions, 0 analyses." in out.getvalue()
    assert tombstones.missing_in_file() == []


def test_a_lesion_deleted_through_the_api_leaves_a_trace_and_stays_away_after_a_restore(
    client: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    alice = make_user("alice")
    lesion = make_lesion(alice)
    analysis = make_ended(alice, lesion=lesion)
    client.force_login(alice)
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.delete(reverse("api-lesion", args=[lesion.pk]))
    assert answer.status_code == 204
    assert not Lesion.objects.exists()
    analysis.refresh_from_db()
    assert analysis.lesion is None
    event = AuditEvent.objects.get(action=Action.DELETED)
    assert (event.actor_id, event.object_type, event.object_id) == (
        alice.pk,
        "lesion",
        str(lesion.pk),
    )
    # The backup: the lesion is there again with its analysis, and its table knows of no erasure.
    Tombstone.objects.all().delete()
    restored = Lesion.objects.create(pk=lesion.pk, owner=alice, name="back")
    Analysis.objects.filter(pk=analysis.pk).update(lesion=restored)
    out = io.StringIO()
    call_command("replay_erasures", stdout=out)
    assert "erased again: 0 accounts, 1 lesions, 0 analyses." in out.getvalue()
    assert not Lesion.objects.exists()
    analysis.refresh_from_db()
    assert analysis.lesion is None


def test_a_restored_backup_neither_shares_nor_agrees_again(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    case = make_case()
    mallory = make_user("mallory")
    share(patient=mallory, reference=case.bob.email, scope=EVERYTHING)
    share(patient=case.alice, reference=case.charlie.email, scope=EVERYTHING)
    to_charlie = CareRelationship.objects.get(dermatologist=case.charlie)
    with django_capture_on_commit_callbacks(execute=True):
        revoke(relationship_id=to_charlie.pk, by=case.charlie)
        erasure.withdraw_consent(case.alice)
    # The backup: both stand as they did, and its table knows of no end.
    Tombstone.objects.all().delete()
    Consent.objects.filter(user=case.alice).update(withdrawn_at=None)
    CareRelationship.objects.filter(patient=case.alice).update(revoked_at=None)
    out = io.StringIO()
    call_command("replay_erasures", stdout=out)
    assert "Ended again: 2 sharings, 1 consents." in out.getvalue()
    assert not CareRelationship.objects.filter(patient=case.alice, revoked_at=None).exists()
    assert CareRelationship.objects.filter(patient=mallory, revoked_at=None).exists()
    assert consent.standing(case.alice) is consent.Standing.WITHDRAWN
    assert consent.has_consented(mallory)
    done_again = AuditEvent.objects.filter(details__reason="replayed")
    assert set(done_again.values_list("action", "subject_id")) == {
        (Action.UNSHARED, case.alice.pk),
        (Action.CONSENT_WITHDRAWN, case.alice.pk),
    }
    out = io.StringIO()
    call_command("replay_erasures", stdout=out)
    assert "Ended again: 0 sharings, 0 consents." in out.getvalue()


def test_a_consent_given_after_the_withdrawal_stays_after_a_restore(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    alice = make_user("alice")
    with django_capture_on_commit_callbacks(execute=True):
        erasure.withdraw_consent(alice)
    consent.agree(alice)
    call_command("replay_erasures", stdout=io.StringIO())
    assert consent.has_consented(alice)


def named() -> int:
    return take_stock().leftovers.records_that_a_tombstone_names


def restored(kind: str) -> None:
    """End one record of `kind` and put it back, with an empty table of tombstones."""
    case = make_case()
    lesion = make_lesion(case.alice)
    analysis = make_ended(case.alice)
    assert named() == 0
    if kind == Tombstone.Kind.ACCOUNT:
        mallory = make_user("mallory")
        pk = mallory.pk
        erasure.erase_account(mallory)
        User.objects.create(pk=pk, email="mallory@example.org")
    elif kind == Tombstone.Kind.LESION:
        pk = lesion.pk
        erasure.delete_lesion(lesion_id=pk, by=case.alice)
        Lesion.objects.create(pk=pk, owner=case.alice, name="back")
    elif kind == Tombstone.Kind.ANALYSIS:
        pk = analysis.pk
        erasure.delete_analysis(analysis_id=pk, by=case.alice)
        Analysis.objects.create(
            pk=pk, owner=case.alice, sha256="0" * 64, width=9, height=9, image_key=b"k"
        )
    elif kind == Tombstone.Kind.SHARING:
        share_id = CareRelationship.objects.get(patient=case.alice).pk
        revoke(relationship_id=share_id, by=case.alice)
        assert named() == 0
        CareRelationship.objects.update(revoked_at=None)
    else:
        erasure.withdraw_consent(case.charlie)  # who shares with nobody
        assert named() == 0
        Consent.objects.update(withdrawn_at=None)


@pytest.mark.parametrize("kind", Tombstone.Kind.values)
@pytest.mark.parametrize("place", ["file", "table"])
def test_the_report_counts_what_a_backup_brought_back(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    erasure_log: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    place: str,
) -> None:
    monkeypatch.setattr(privacy_report, "LOOK_AGAIN", 0)
    with django_capture_on_commit_callbacks(execute=True):
        restored(kind)
    if place == "file":
        Tombstone.objects.all().delete()
    else:
        erasure_log.unlink()
    assert named() == 1
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("privacy_report", "--json", stdout=out, stderr=err)
    assert ended.value.code == 1
    assert json.loads(out.getvalue())["leftovers"]["records_that_a_tombstone_names"] == 1
    call_command("replay_erasures", stdout=io.StringIO())
    assert named() == 0


def test_a_tombstone_in_the_file_and_in_the_table_counts_its_record_once(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, erasure_log: Path
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        restored(Tombstone.Kind.ACCOUNT)
    assert Tombstone.objects.exists()
    assert erasure_log.exists()
    assert named() == 1


def test_the_report_says_so_where_it_cannot_read_the_file(erasure_log: Path) -> None:
    erasure_log.write_text('{"kind": "account"}\n')
    with pytest.raises(CommandError, match="line 1, is no tombstone"):
        call_command("privacy_report", stdout=io.StringIO())
    erasure_log.unlink()
    erasure_log.mkdir()
    with pytest.raises(CommandError, match="cannot be told"):
        call_command("privacy_report", stdout=io.StringIO())


def test_a_tombstone_that_could_not_be_written_is_written_by_reconcile(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    erasure_log: Path,
    settings: pytest_django.fixtures.SettingsWrapper,
) -> None:
    alice = make_user("alice")
    first, second = make_ended(alice), make_ended(alice)
    settings.ERASURE_LOG = erasure_log.parent  # a folder: it refuses
    with django_capture_on_commit_callbacks(execute=True):
        erasure.delete_analysis(analysis_id=first.pk, by=alice)
    settings.ERASURE_LOG = erasure_log
    with django_capture_on_commit_callbacks(execute=True):
        erasure.delete_analysis(analysis_id=second.pk, by=alice)
    unwritten, written = Tombstone.objects.order_by("id")
    assert unwritten.filed_at is None
    assert written.filed_at is not None
    assert reconcile.reconcile().filed == 1
    assert reconcile.reconcile().filed == 0
    assert not tombstones.unfiled().exists()
    assert {stone.digest for stone in tombstones.read(erasure_log)} == {
        unwritten.digest,
        written.digest,
    }
    # A row that does not know that it stands there, as after an upgrade, is not written twice.
    Tombstone.objects.update(filed_at=None)
    assert reconcile.reconcile().filed == 2
    assert len(erasure_log.read_text().splitlines()) == 2


def test_a_file_of_tombstones_that_was_lost_is_whole_again_within_a_day(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, erasure_log: Path
) -> None:
    alice = make_user("alice")
    with django_capture_on_commit_callbacks(execute=True):
        erasure.delete_analysis(analysis_id=make_ended(alice).pk, by=alice)
    erasure_log.unlink()
    tasks.apply_retention()
    assert tombstones.missing_in_file() == []
    assert len(erasure_log.read_text().splitlines()) == 1


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
