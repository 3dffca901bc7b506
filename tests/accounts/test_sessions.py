"""A session ends when it is idle, when it is old, and when its owner ends it from elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client

from accounts import tasks
from accounts.audit.models import Action, AuditEvent
from accounts.models import Role
from accounts.people import set_active
from accounts.sessions.limits import BEGAN, SEEN
from accounts.sessions.views import client_name
from tests.factories import PASSWORD, make_user

if TYPE_CHECKING:
    from accounts.models import User

pytestmark = pytest.mark.django_db
SESSIONS = "/accounts/sessions/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def signed_in(user: User, agent: str = FIREFOX) -> Client:
    """Sign in as a person does, in a browser of its own."""
    client = Client(headers={"user-agent": agent})
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert is_open(client)
    return client


def is_open(client: Client, **headers: str) -> bool:
    return client.get("/dashboard/", headers=headers).status_code == 200


def move_back(client: Client, key: str, seconds: float) -> None:
    session = client.session
    session[key] = time.time() - seconds
    session.save()


@pytest.fixture
def alice() -> User:
    return make_user("alice", password=PASSWORD)


def test_an_idle_session_is_over(alice: User) -> None:
    client = signed_in(alice)
    move_back(client, SEEN, settings.SESSION_IDLE_LIMIT - 5)
    assert is_open(client)
    move_back(client, SEEN, settings.SESSION_IDLE_LIMIT + 5)
    assert not is_open(client)
    assert "You were signed out after a while" in client.get("/accounts/login/").content.decode()


def test_activity_does_not_carry_a_session_past_its_absolute_limit(alice: User) -> None:
    client = signed_in(alice)
    key = client.session.session_key
    move_back(client, BEGAN, settings.SESSION_MAX_AGE + 5)
    assert not is_open(client)
    assert not Session.objects.filter(session_key=key).exists()


def test_a_page_that_polls_does_not_keep_a_session_open(alice: User) -> None:
    client = signed_in(alice)
    move_back(client, SEEN, settings.SESSION_IDLE_LIMIT - 60)
    assert is_open(client, hx_request="true")
    assert client.session[SEEN] < time.time() - 1000
    assert is_open(client)
    assert client.session[SEEN] > time.time() - 1000


def test_who_says_that_every_look_is_a_poll_meets_the_limits_too(alice: User) -> None:
    client = Client()
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert is_open(client, hx_request="true")
    for key, limit in ((SEEN, settings.SESSION_IDLE_LIMIT), (BEGAN, settings.SESSION_MAX_AGE)):
        assert time.time() - client.session[key] < 60
        move_back(client, key, limit + 5)
        assert not is_open(client, hx_request="true")
        client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
        assert is_open(client, hx_request="true")


def test_the_list_names_each_device_and_which_one_is_here(alice: User) -> None:
    signed_in(alice, "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/604.1")
    html = signed_in(alice).get(SESSIONS).content.decode()
    assert "Firefox on Linux" in html
    assert "Safari on iPhone" in html
    assert html.count("this device") == 1


def test_a_device_elsewhere_is_signed_out_at_its_next_request(alice: User) -> None:
    lost, here = signed_in(alice), signed_in(alice)
    entry = UserSession.objects.get(session_key=lost.session.session_key)
    assert here.post(f"{SESSIONS}{entry.pk}/end/").status_code == 302
    assert not is_open(lost)
    assert is_open(here)
    event = AuditEvent.objects.filter(action=Action.SIGNED_OUT).get()
    assert (event.actor_id, event.details) == (alice.pk, {"from": "elsewhere"})


def test_everywhere_else_means_everywhere_but_here(alice: User) -> None:
    others, here = [signed_in(alice) for _ in range(2)], signed_in(alice)
    here.post(f"{SESSIONS}end-others/")
    assert [is_open(client) for client in (*others, here)] == [False, False, True]
    assert UserSession.objects.filter(user=alice).count() == 1


def test_a_closed_account_is_signed_out_for_good_and_not_until_it_is_opened(alice: User) -> None:
    client, ada = signed_in(alice), make_user("ada", role=Role.ADMIN)
    hers = signed_in(make_user("carol", password=PASSWORD))
    set_active(alice, active=False, by=ada)
    assert not is_open(client)
    assert not UserSession.objects.filter(user=alice).exists()
    set_active(alice, active=True, by=ada)
    assert not is_open(client)
    assert is_open(hers)


def test_nobody_ends_another_persons_session(alice: User) -> None:
    hers = signed_in(alice)
    entry = UserSession.objects.get(user=alice)
    mallory = signed_in(make_user("mallory", password=PASSWORD))
    assert mallory.post(f"{SESSIONS}{entry.pk}/end/").status_code == 404
    assert is_open(hers)
    denied = AuditEvent.objects.get(action=Action.DENIED)
    assert (denied.object_type, denied.subject_id) == ("session", alice.pk)


def test_the_daily_upkeep_forgets_the_devices_of_ended_sessions(alice: User) -> None:
    signed_in(alice)
    gone = signed_in(alice)
    Session.objects.filter(session_key=gone.session.session_key).delete()
    tasks.clear_sessions()
    assert UserSession.objects.count() == 1


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/141.0 Safari/537.36 Edg/141.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 16) Chrome/141.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.9", "Unknown program"),
    ],
)
def test_a_client_is_named_in_words(agent: str, name: str) -> None:
    assert client_name(agent) == name
