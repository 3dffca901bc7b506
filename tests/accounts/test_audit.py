"""The trail: nobody changes it unnoticed, and retention cuts only its old end."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.audit import triggers
from accounts.audit.chain import AuditDetailError, cut_before, record, seal, verify
from accounts.audit.models import Action, AuditCheckpoint, AuditEvent, AuditHead

pytestmark = pytest.mark.django_db


def write(count: int) -> list[AuditEvent]:
    return [
        record(Action.READ, actor=None, object_type="analysis", object_id=str(n))
        for n in range(count)
    ]


@pytest.fixture
def without_triggers() -> None:
    """Stand where an intruder with the database owner's rights stands."""
    statements = {"sqlite": triggers.SQLITE_REMOVE, "postgresql": triggers.POSTGRESQL_REMOVE}
    with connection.cursor() as cursor:
        for statement in statements[connection.vendor]:
            cursor.execute(statement)
    # The test's transaction is rolled back, and the dropped triggers with it.


def test_an_untouched_trail_holds() -> None:
    write(5)
    seal()
    write(2)
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
