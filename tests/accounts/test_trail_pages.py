"""Who reads the trail: administrators all of it, a person what others did with the record."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from accounts import tasks
from accounts.audit import reading
from accounts.audit.chain import record, verify
from accounts.audit.models import Action, AuditCheckpoint, AuditEvent
from accounts.models import Role
from tests.factories import make_user

if TYPE_CHECKING:
    from django.test import Client

    from accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return make_user("alice")


@pytest.fixture
def bob() -> User:
    return make_user("bob", role=Role.DERMATOLOGIST)


@pytest.fixture
def root() -> User:
    return make_user("root", role=Role.ADMIN)


def test_an_admin_searches_by_action_person_and_day(alice: User, bob: User) -> None:
    read = record(Action.READ, actor=bob, subject_id=alice.pk)
    shared = record(Action.SHARED, actor=alice, subject_id=alice.pk)
    signed_in = record(Action.SIGNED_IN, actor=bob, subject_id=bob.pk)
    today = timezone.localdate(signed_in.at)
    tomorrow = today + timedelta(days=1)
    assert list(reading.search()) == [signed_in, shared, read]
    assert list(reading.search(action=Action.READ)) == [read]
    assert list(reading.search(who="ALICE@example.org")) == [shared, read]
    assert list(reading.search(who=str(bob.pk))) == [signed_in, read]
    assert not reading.search(who="nobody@example.org").exists()
    assert not reading.search(who="no id").exists()
    assert reading.search(since=today, until=today).count() == 3
    assert not reading.search(since=tomorrow).exists()
    assert not reading.search(until=today - timedelta(days=1)).exists()


def test_the_admins_page_shows_names_and_ids_and_keeps_the_filters(
    client: Client, alice: User, bob: User, root: User
) -> None:
    for _n in range(60):
        record(Action.READ, actor=bob, subject_id=alice.pk, object_type="analysis", object_id="x1")
    client.force_login(root)
    html = client.get(reverse("accounts:audit"), {"action": "read"}).content.decode()
    assert "Bob" in html
    assert "60 events" in html
    assert "action=read&amp;page=2" in html
    assert "page=1" in client.get(reverse("accounts:audit"), {"page": "2"}).content.decode()


@pytest.mark.parametrize(
    ("query", "filtered"),
    [
        ({}, False),
        ({"page": "2"}, False),
        ({"action": "", "who": "", "since": "", "until": ""}, False),
        ({"action": "read"}, True),
        ({"who": "nobody@example.org"}, True),
        ({"since": "2026-01-01"}, True),
        ({"until": "yesterday"}, True),
        ({"who": "a", "page": "2"}, True),
    ],
)
def test_the_button_that_clears_is_there_exactly_where_a_filter_is_set(
    client: Client, root: User, query: dict[str, str], *, filtered: bool
) -> None:
    client.force_login(root)
    html = client.get(reverse("accounts:audit"), query).content.decode()
    assert (f'href="{reverse("accounts:audit")}">Clear</a>' in html) is filtered


def test_an_impossible_day_is_named(client: Client, root: User) -> None:
    client.force_login(root)
    html = client.get(reverse("accounts:audit"), {"since": "yesterday"}).content.decode()
    assert "<title>Error:" in html


@pytest.mark.parametrize("role", [Role.PATIENT, Role.DERMATOLOGIST])
def test_for_everybody_else_the_trail_does_not_exist_and_the_try_stands_in_it(
    client: Client, role: Role
) -> None:
    user = make_user("mallory", role=role)
    client.force_login(user)
    assert client.get(reverse("accounts:audit")).status_code == 404
    denied = AuditEvent.objects.get(action=Action.DENIED)
    assert (denied.actor_id, denied.object_id) == (user.pk, "accounts:audit")


def test_a_person_sees_who_else_opened_the_record(client: Client, alice: User, bob: User) -> None:
    record(Action.READ, actor=bob, subject_id=alice.pk)
    record(Action.READ, actor=bob, subject_id=make_user("carol").pk)
    record(Action.SHARED, actor=alice, subject_id=alice.pk)
    record(Action.DENIED, actor=bob, subject_id=alice.pk)
    assert [e.action for e in reading.openings_of(alice)] == [Action.READ]
    client.force_login(alice)
    html = client.get(reverse("accounts:access_log")).content.decode()
    assert "Bob" in html
    client.force_login(bob)
    assert "Nobody but you" in client.get(reverse("accounts:access_log")).content.decode()


def test_the_daily_task_seals_and_retention_cuts_only_what_is_old(alice: User) -> None:
    record(Action.SIGNED_IN, actor=alice)
    record(Action.SIGNED_IN, actor=alice)
    tasks.seal_trail()
    assert AuditCheckpoint.objects.filter(cut=False).count() == 1
    tasks.cut_trail()
    assert AuditEvent.objects.count() == 2
    with override_settings(AUDIT_RETENTION_DAYS=0):
        tasks.cut_trail()
    assert AuditEvent.objects.count() == 1
    assert verify() == []


@pytest.mark.parametrize(
    "query",
    [
        {"until": "9999-12-31"},
        {"since": "0001-01-01"},
        {"since": "yesterday"},
        {"action": "no_such"},
    ],
)
def test_a_filter_that_makes_no_sense_finds_nothing_and_says_so(
    client: Client, root: User, query: dict[str, str]
) -> None:
    client.force_login(root)
    record(Action.READ, actor=root)
    answer = client.get(reverse("accounts:audit"), query)
    assert answer.status_code == 400
    assert answer.context["form"].errors.keys() == query.keys()
    assert answer.context["lines"] == []
    assert client.get(reverse("accounts:audit"), {"until": "2999-12-31"}).context["lines"]
