"""A person sees the connection with the hospital, ends it for good, and allows it again."""

from __future__ import annotations

import time

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.sessions.models import Session
from django.test import Client

from accounts.audit.models import Action, AuditEvent
from accounts.models import Role, User
from accounts.people import create_account
from tests.accounts.test_oidc import grow_old
from tests.accounts.through_hospital import LINK, LOGIN, sign_in, told, who
from tests.factories import PASSWORD, make_user
from tests.oidc_provider import ALICE, Provider
from tests.post import delivered

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(hospital: Provider) -> User:
    return create_account(email=ALICE["email"], role=Role.PATIENT, by=None, password=PASSWORD)


@pytest.fixture
def connected(client: Client, alice: User) -> Client:
    sign_in(client)
    assert who(client) == str(alice.pk)
    delivered().clear()
    return client


def page(client: Client) -> str:
    return client.get(LINK).content.decode()


def acts(user: User) -> list[str]:
    found = AuditEvent.objects.filter(subject_id=user.pk, actor_id=user.pk)
    return list(found.values_list("action", flat=True))


def test_the_profile_leads_to_the_connection_and_says_since_when(connected: Client) -> None:
    assert LINK in connected.get("/accounts/profile/").content.decode()
    assert "has opened your account since" in page(connected)


def test_ending_it_is_told_traced_and_ends_the_sessions_elsewhere(
    connected: Client, alice: User
) -> None:
    elsewhere = Client()
    sign_in(elsewhere)
    answer = connected.post(LINK, {"act": "end"}, follow=True)
    assert "Only your password opens your account now" in answer.content.decode()
    assert not SocialAccount.objects.exists()
    assert who(connected) == str(alice.pk)
    assert elsewhere.get("/dashboard/").status_code == 302
    assert Action.SIGN_IN_UNLINKED in acts(alice)
    letter = delivered()[-1]
    assert letter.to == [alice.email]
    assert "no longer opens your account" in str(letter.body)


def test_the_address_does_not_connect_it_again_before_the_person_allows_it(
    connected: Client, alice: User, hospital: Provider
) -> None:
    connected.post(LINK, {"act": "end"})
    stranger = Client()
    hospital.person |= {"sub": "0815"}  # who has the address now
    assert sign_in(stranger)["Location"] == LOGIN
    assert who(stranger) is None
    assert "You ended this way of signing in" in told(stranger)
    hospital.person |= {"sub": ALICE["sub"]}
    assert sign_in(stranger)["Location"] == LOGIN
    assert "You ended it on" in page(connected)
    connected.post(LINK, {"act": "allow"})
    assert Action.SIGN_IN_ALLOWED in acts(alice)
    sign_in(stranger)
    assert who(stranger) == str(alice.pk)


def test_the_only_way_to_sign_in_cannot_be_ended(client: Client, hospital: Provider) -> None:
    alice = create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    sign_in(client)
    assert 'value="end"' not in page(client)
    answer = client.post(LINK, {"act": "end"}, follow=True)
    assert "It is your only way to sign in" in answer.content.decode()
    assert SocialAccount.objects.filter(user=alice).exists()
    alice.refresh_from_db()
    assert alice.hospital_ended_at is None


def test_a_browser_found_open_is_asked_for_the_password_first(connected: Client) -> None:
    grow_old(connected)
    asked = connected.post(LINK, {"act": "end"})
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    assert SocialAccount.objects.exists()


def test_nobody_allows_or_ends_what_is_not_there(client: Client, hospital: Provider) -> None:
    alice = create_account(email="a@example.org", role=Role.PATIENT, by=None, password=PASSWORD)
    client.post(LOGIN, {"login": alice.email, "password": PASSWORD})
    assert "It is not connected" in page(client)
    for act in ("end", "allow", "", "other"):
        assert client.post(LINK, {"act": act})["Location"] == LINK
    assert not {Action.SIGN_IN_UNLINKED, Action.SIGN_IN_ALLOWED} & set(acts(alice))


def test_without_a_hospital_the_profile_says_nothing_of_one(client: Client) -> None:
    client.force_login(make_user())
    assert LINK not in client.get("/accounts/profile/").content.decode()
    assert client.get(LINK).status_code == 404


def test_a_password_that_is_set_too_late_is_kept_nowhere(
    client: Client, hospital: Provider
) -> None:
    """Allauth keeps a request that has to wait in the session, which is in the database."""
    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    hospital.person["auth_time"] = int(time.time()) - 3600
    sign_in(client)
    late = {"password1": "a-secret-to-be", "password2": "a-secret-to-be"}
    answer = client.post("/accounts/password/set/", late)
    assert answer["Location"] == "/accounts/password/set/"
    assert client.get(answer["Location"])["Location"].startswith("/accounts/hospital/again/")
    kept = [session.get_decoded() for session in Session.objects.all()]
    assert kept
    assert "a-secret" not in str(kept)
