"""The privacy report: zero where all is well, and an exit code where something is left over."""

from __future__ import annotations

import io
import json
import threading
import uuid
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command
from django.utils import timezone

from analyses import purging, retention, storage
from analyses.holdings import take_stock
from analyses.models import Analysis, DeletionEvent, Result, Tombstone
from tests.cases import make_case, make_ended
from tests.factories import make_analysis, make_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    import pytest_django
    from pytest_django import DjangoCaptureOnCommitCallbacks

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]


@pytest.fixture(autouse=True)
def no_grace(settings: pytest_django.fixtures.SettingsWrapper, tmp_path: Path) -> None:
    settings.RECONCILE_AFTER = -1
    settings.ERASURE_LOG = tmp_path / "erasures.log"


def leftovers() -> dict[str, int]:
    return {name: n for name, n in asdict(take_stock().leftovers).items() if n}


def test_an_ordinary_installation_has_nothing_left_over(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        case = make_case()
        make_analysis(case.alice)
        make_ended(case.alice)
    holdings = take_stock()
    assert leftovers() == {}
    assert (holdings.records.pictures, holdings.records.pictures_held) == (2, 1)
    assert holdings.oldest_picture is not None
    out = io.StringIO()
    call_command("privacy_report", stdout=out)
    assert "pictures held: 1" in out.getvalue()
    assert "records that a tombstone names: 0" in out.getvalue()


def test_each_leftover_is_counted() -> None:
    storage.put(uuid.uuid4(), b"orphan")
    assert leftovers() == {"files_without_analysis": 1}
    pending = make_analysis(make_user())
    storage.delete(pending.pk)
    assert leftovers()["keys_without_file"] == 1
    case = make_case()
    Analysis.objects.filter(pk=case.analysis.pk).update(
        held_until=timezone.now() - timedelta(hours=1)
    )
    assert leftovers()["holds_past_their_end"] == 1
    ended = make_ended(case.alice)
    Analysis.objects.filter(pk=ended.pk).update(image_purged_at=None)
    assert leftovers()["pictures_not_proved_deleted"] == 1
    assert case.analysis.result is not None
    Result.objects.create(
        **{
            field.name: getattr(case.analysis.result, field.name)
            for field in Result._meta.fields
            if field.name not in {"id", "created_at"}
        }
    )
    assert leftovers()["results_without_analysis"] == 1
    Tombstone.objects.create(kind="account", digest="0" * 64)
    assert leftovers()["tombstones_not_in_the_file"] == 1
    Tombstone.objects.create(kind="account", digest=Tombstone.digest_of(case.alice.pk))
    assert leftovers()["records_that_a_tombstone_names"] == 1


def test_an_upload_while_the_stock_is_taken_lacks_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file was stored after the files were listed, and its row before the rows are."""
    alice = make_user()
    stored = storage.stored

    def listed_too_early() -> Iterator[tuple[uuid.UUID, datetime]]:
        found = list(stored())
        make_analysis(alice)
        return iter(found)

    monkeypatch.setattr(storage, "stored", listed_too_early)
    assert leftovers() == {}


def test_a_picture_deleted_while_the_stock_is_taken_is_no_orphan(
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    case = make_case()
    stored = storage.stored

    def listed_too_early() -> Iterator[tuple[uuid.UUID, datetime]]:
        found = list(stored())
        purging.purge(case.analysis, DeletionEvent.Reason.HOLD_ENDED)
        return iter(found)

    monkeypatch.setattr(storage, "stored", listed_too_early)
    assert leftovers() == {}


def test_a_half_that_a_killed_process_left_is_counted(image_store: Path) -> None:
    draft = image_store / f"{uuid.uuid4()}.sealed.0123abcd.part"
    draft.write_bytes(b"half")
    assert leftovers() == {"unfinished_files": 1}
    storage.delete_drafts(older_than=timezone.now() + timedelta(seconds=5))
    assert leftovers() == {}


def test_what_another_host_wrote_to_its_file_is_not_left_over_here() -> None:
    Tombstone.objects.create(kind="account", digest="0" * 64, filed_at=timezone.now())
    assert leftovers() == {}
    Tombstone.objects.update(filed_at=None)
    assert leftovers() == {"tombstones_not_in_the_file": 1}


def test_what_is_gone_a_moment_later_is_not_reported() -> None:
    orphan = uuid.uuid4()
    storage.put(orphan, b"about to go")
    gone = threading.Timer(0.3, storage.delete, [orphan])
    gone.start()
    call_command("privacy_report", stdout=io.StringIO())
    gone.join()


def test_the_command_ends_with_one_where_something_is_left_over() -> None:
    storage.put(uuid.uuid4(), b"orphan")
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("privacy_report", "--json", stdout=out, stderr=err)
    assert ended.value.code == 1
    assert json.loads(out.getvalue())["leftovers"]["files_without_analysis"] == 1


def test_retention_deletes_what_is_older_and_nothing_without_a_setting(
    settings: pytest_django.fixtures.SettingsWrapper,
) -> None:
    alice = make_user("alice")
    old, young = make_ended(alice), make_ended(alice)
    Analysis.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=400))
    settings.RETENTION_DAYS = None
    assert retention.apply() == 0
    settings.RETENTION_DAYS = 365
    assert leftovers()["results_past_retention"] == 1
    assert retention.apply() == 1
    assert list(Analysis.objects.all()) == [young]
    assert "results_past_retention" not in leftovers()


@pytest.mark.parametrize(("longest", "left"), [(40.0, 0), (-1.0, 3)])
def test_retention_works_a_backlog_off_while_it_has_the_time(
    settings: pytest_django.fixtures.SettingsWrapper,
    monkeypatch: pytest.MonkeyPatch,
    longest: float,
    left: int,
) -> None:
    alice = make_user("alice")
    for _ in range(5):
        make_ended(alice)
    Analysis.objects.update(created_at=timezone.now() - timedelta(days=400))
    settings.RETENTION_DAYS = 365
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "LONGEST", longest)

    assert retention.apply() == 5 - left
    assert Analysis.objects.count() == left
