"""The trail: nobody changes it unnoticed, and retention cuts only its old end."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from accounts import tasks
from accounts.audit import chain, triggers
from accounts.audit.chain import (
    AuditDetailError,
    _signed_checkpoints,
    cut_before,
    record,
    seal,
    verify,
)
from accounts.audit.models import Action, AuditCheckpoint, AuditEvent, AuditHead

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from pytest_django.fixtures import SettingsWrapper

pytestmark = pytest.mark.django_db


def write(count: int) -> list[AuditEvent]:
    return [
        record(Action.READ, actor=None, object_type="analysis", object_id=str(n))
        for n in range(count)
    ]


@pytest.fixture
def without_triggers() -> None:
    """Stand where an intruder with the database owner's rights stands."""
    with connection.cursor() as cursor:
        for statement in triggers.REMOVE[connection.vendor]:
            cursor.execute(statement)
    # The test's transaction is rolled back, and the dropped triggers with it.


def test_an_untouched_trail_holds() -> None:
    write(5)
    seal()
    write(2)
    assert verify() == []


def test_what_is_written_while_it_walks_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    write(3)

    def head_then_more(**which: int) -> QuerySet[AuditHead]:
        monkeypatch.undo()
        found = AuditHead.objects.filter(**which)
        before = found.first()
        write(1)
        seal()
        monkeypatch.setattr(found, "first", lambda: before)
        return found

    monkeypatch.setattr(AuditHead.objects, "filter", head_then_more)
    assert verify() == []
    assert AuditEvent.objects.count() == 4


def test_what_retention_cuts_while_it_walks_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_rest = write(4)
    AuditEvent.objects.count()

    def busy() -> tuple[list[AuditCheckpoint], list[chain.Fault]]:
        found = signed()
        if AuditEvent.objects.filter(pk=first.pk).exists():
            assert cut_before(AuditEvent.objects.order_by("id")[2].at) == 2
        return found

    signed = chain._signed_checkpoints
    monkeypatch.setattr(chain, "_signed_checkpoints", busy)
    assert verify() == []


def test_an_empty_trail_holds() -> None:
    assert verify() == []


@pytest.mark.parametrize("table", [AuditEvent, AuditCheckpoint])
def test_the_database_refuses_to_change_or_delete_a_row(
    table: type[AuditEvent | AuditCheckpoint],
) -> None:
    write(3)
    seal()
    for act in (
        lambda: table.objects.update(at=timezone.now()),
        lambda: table.objects.all().delete(),
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            act()
    assert verify() == []


# Ways round the triggers of UPDATE and DELETE, by database.
COPY = """INTO accounts_auditevent
    (rowid, id, hash, at, action, actor_role, object_type, object_id, details, previous_hash)
    SELECT {0}, at, action, actor_role, object_type, object_id, details, previous_hash
    FROM accounts_auditevent WHERE id = 2"""
UPSERT = """INSERT INTO accounts_auditevent
    (id, hash, at, action, actor_role, object_type, object_id, details, previous_hash)
    SELECT id, 'new', at, action, actor_role, object_type, object_id, details, previous_hash
    FROM accounts_auditevent WHERE id = 2
    ON CONFLICT (id) DO UPDATE SET object_id = 'other'"""
WAYS_ROUND = {
    "sqlite": [
        "INSERT OR REPLACE " + COPY.format("77, id, 'new'"),
        "REPLACE " + COPY.format("77, 99, hash"),
        "INSERT OR REPLACE " + COPY.format("rowid, 99, 'new'"),
        "INSERT OR REPLACE INTO accounts_auditcheckpoint SELECT * FROM accounts_auditcheckpoint",
        UPSERT,
    ],
    "postgresql": [
        "TRUNCATE accounts_auditevent",
        "TRUNCATE accounts_auditcheckpoint",
        "TRUNCATE accounts_audithead, accounts_auditevent",
        UPSERT,
    ],
}


def go_round() -> list[str]:
    """Try every way round on a trail of three events; return those that the database let pass."""
    passed = []
    for statement in WAYS_ROUND[connection.vendor]:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)
                passed.append(statement)
                transaction.set_rollback(True)
        except DatabaseError as error:
            if "append-only" not in str(error):
                raise
    return passed


def test_the_database_refuses_to_overwrite_a_row_or_empty_the_table() -> None:
    write(3)
    seal()
    assert go_round() == []
    assert AuditEvent.objects.count() == 3
    assert verify() == []
    write(1)
    seal()
    assert verify() == [], "and still takes the next"


@pytest.mark.django_db(transaction=True)
def test_an_older_installation_gets_the_refusals_with_the_release() -> None:
    write(3)
    seal()
    newer = ("no_replace", "no_truncate")
    with connection.cursor() as cursor:
        for statement in triggers.REMOVE[connection.vendor]:
            if any(name in statement for name in newer):
                cursor.execute(statement)
    assert len(go_round()) >= 3, "as it was before"
    executor = MigrationExecutor(connection)
    executor.migrate([("accounts", "0007_hospital_ended")])
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    assert go_round() == []
    with pytest.raises(DatabaseError, match="append-only"):
        AuditEvent.objects.update(at=timezone.now())


# --- The key that signs ------------------------------------------------------------------------


def test_a_new_key_takes_over_while_the_old_one_still_counts(settings: SettingsWrapper) -> None:
    old = settings.AUDIT_KEY
    write(3)
    seal()
    cut_before(timezone.now())
    settings.AUDIT_KEY = "n" * 60
    assert {f.what for f in verify()} >= {"a checkpoint's signature is wrong"}
    settings.AUDIT_KEY_FALLBACKS = ["x" * 60, old]
    assert verify() == []
    write(1)
    seal()
    settings.AUDIT_KEY_FALLBACKS = []
    genuine, faults = _signed_checkpoints()
    assert len(genuine) == 1, "what is signed now is signed with the new key"
    assert len(faults) == 2


@pytest.mark.usefixtures("without_triggers")
@pytest.mark.parametrize(
    "change",
    [
        {"action": Action.EXPORTED},
        {"object_id": "other"},
        {"details": {"n": 1}},
        {"actor_role": "admin"},
        {"at": timezone.now() - timedelta(days=1)},
    ],
)
def test_a_changed_row_is_found(change: dict[str, object]) -> None:
    events = write(3)
    AuditEvent.objects.filter(id=events[1].id).update(**change)
    assert [(f.event_id, f.what) for f in verify()] == [(events[1].id, "the row was changed")]


@pytest.mark.usefixtures("without_triggers")
def test_a_row_taken_from_the_middle_is_found() -> None:
    events = write(4)
    AuditEvent.objects.filter(id=events[2].id).delete()
    assert [f.what for f in verify()] == ["rows 3 to 3 are missing"]


@pytest.mark.parametrize("back", [3, 0, None])
def test_a_head_that_was_set_back_or_lost_is_found(back: int | None) -> None:
    rows = write(5)
    heads = AuditHead.objects.filter(id=1)
    if back is None:
        heads.delete()
    elif back:
        heads.update(last_id=rows[back - 1].id, last_hash=rows[back - 1].hash)
    else:
        heads.update(last_id=0, last_hash=chain.GENESIS)
    assert "rows stand behind the end of the chain" in [fault.what for fault in verify()]


@pytest.mark.usefixtures("without_triggers")
def test_a_cut_end_is_found() -> None:
    events = write(3)
    AuditEvent.objects.filter(id=events[-1].id).delete()
    assert [f.what for f in verify()] == ["the end of the chain is missing"]


@pytest.mark.usefixtures("without_triggers")
def test_a_chain_that_was_rewritten_as_a_whole_is_found_by_its_checkpoint() -> None:
    write(3)
    seal()
    AuditEvent.objects.all().delete()
    AuditHead.objects.all().delete()
    write(3)
    assert "the row is not the one that was signed" in [f.what for f in verify()]


@pytest.mark.usefixtures("without_triggers")
def test_a_row_that_was_rewritten_with_its_hash_does_not_lead_to_the_next() -> None:
    events = write(3)
    changed = events[1]
    changed.object_id = "other"
    AuditEvent.objects.filter(pk=changed.pk).update(object_id="other", hash=chain.digest(changed))
    faults = [(fault.event_id, fault.what) for fault in verify()]
    assert faults == [(events[2].id, "the row does not follow from the one before it")]


@pytest.mark.usefixtures("without_triggers")
def test_a_sealed_end_that_was_cut_with_its_head_is_found() -> None:
    events = write(3)
    seal()
    AuditEvent.objects.filter(pk=events[-1].pk).delete()
    AuditHead.objects.filter(id=1).update(last_id=events[1].id, last_hash=events[1].hash)
    assert [fault.what for fault in verify()] == ["a signed row is missing"]


@pytest.mark.usefixtures("without_triggers")
def test_a_row_that_was_put_before_a_cut_is_found() -> None:
    events = write(4)
    cut_before(events[2].at)
    old = events[0]
    old.pk = old.id
    AuditEvent.objects.bulk_create([old])
    assert [fault.what for fault in verify()] == ["a row stands before the cut"]


@pytest.mark.usefixtures("without_triggers")
def test_a_forged_cut_is_found() -> None:
    events = write(3)
    AuditCheckpoint.objects.create(
        event_id=2, hash=events[1].hash, at=timezone.now(), cut=True, signature="0" * 64
    )
    AuditEvent.objects.filter(id__lte=2).delete()
    assert "a checkpoint's signature is wrong" in [f.what for f in verify()]


def test_retention_cuts_the_old_end_and_the_rest_still_verifies() -> None:
    write(4)
    cut_at = timezone.now()
    write(2)
    assert cut_before(cut_at) == 4
    assert list(AuditEvent.objects.values_list("id", flat=True)) == [5, 6]
    assert verify() == []
    write(1)
    assert verify() == []


@pytest.mark.parametrize(
    ("wrong", "gone", "left"),
    [(-400, 2, [3, 4, 5, 6]), (400, 3, [4, 5, 6])],
    ids=["past", "future"],
)
def test_a_row_with_a_wrong_clock_neither_takes_the_kept_along_nor_keeps_the_old(
    monkeypatch: pytest.MonkeyPatch, wrong: int, gone: int, left: list[int]
) -> None:
    now = timezone.now()
    # Three old rows and three new ones; the clock of one was wrong.
    days = [100, 100, 0, 0, 0, 0] if wrong < 0 else [100, 100, 100, 0, 0, 0]
    at = [now - timedelta(days=n) for n in days]
    at[4 if wrong < 0 else 1] = now + timedelta(days=wrong)
    for moment in at:
        with monkeypatch.context() as clock:
            clock.setattr(chain.timezone, "now", lambda moment=moment: moment)
            write(1)
    assert cut_before(now - timedelta(days=50)) == gone
    assert list(AuditEvent.objects.values_list("id", flat=True)) == left
    assert verify() == []


def test_retention_never_takes_the_newest_event() -> None:
    write(3)
    assert cut_before(timezone.now()) == 2
    write(1)
    assert verify() == []


@pytest.mark.parametrize("value", [0.91, None, ["mel"], "x" * 121])
def test_content_does_not_enter_the_trail(value: object) -> None:
    with pytest.raises(AuditDetailError):
        record(Action.READ, actor=None, details={"k": value})  # type: ignore[dict-item]
    assert not AuditEvent.objects.exists()


def test_the_command_says_that_the_trail_holds() -> None:
    write(3)
    out = io.StringIO()
    call_command("verify_audit", stdout=out)
    assert "holds: 3 events" in out.getvalue()


@pytest.mark.usefixtures("without_triggers")
def test_the_command_names_the_fault() -> None:
    write(3)
    AuditEvent.objects.filter(id=2).update(object_id="other")
    with pytest.raises(CommandError, match="event 2: the row was changed"):
        call_command("verify_audit")


# --- What the log of another machine keeps -----------------------------------------------------


def sealed_line(caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level("INFO", logger="accounts.tasks"):
        tasks.seal_trail()
    return caplog.records[-1].getMessage().removeprefix("the trail is sealed at ")


@pytest.mark.usefixtures("without_triggers")
def test_a_trail_that_was_put_back_with_its_checkpoints_is_found_by_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(5)
    seal = sealed_line(caplog)
    call_command("verify_audit", f"--seal={seal}", stdout=io.StringIO())
    AuditCheckpoint.objects.all().delete()
    AuditEvent.objects.filter(id__gt=2).delete()
    AuditHead.objects.update(last_id=2, last_hash=AuditEvent.objects.get(id=2).hash)
    assert verify() == [], "nothing in the database tells"
    with pytest.raises(CommandError, match="event 5: was sealed, and is missing"):
        call_command("verify_audit", f"--seal={seal}")
    write(3)
    with pytest.raises(CommandError, match="event 5: is not what was sealed"):
        call_command("verify_audit", f"--seal={seal}")


def test_a_seal_that_retention_has_cut_since_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    write(3)
    seal = sealed_line(caplog)
    write(2)
    cut_before(timezone.now())
    call_command("verify_audit", f"--seal={seal}", stdout=io.StringIO())


@pytest.mark.parametrize("seal", ["", "3", "3:abc", f"x:{'0' * 64}"])
def test_what_is_no_seal_is_refused(seal: str) -> None:
    with pytest.raises(CommandError, match="is no seal"):
        call_command("verify_audit", f"--seal={seal}")
