"""Sign-in through a hospital's provider, against a real one that the test serves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.test import Client

from accounts.audit.models import Action, AuditEvent
from accounts.models import Consent, Role, User
from accounts.people import create_account, set_active
from tests.accounts.through_hospital import (
    CALLBACK,
    LINK,
    LOGIN,
    SIGN_IN,
    come_back,
    sign_in,
    target_of,
    told,
    was_refused,
    who,
)
from tests.factories import PASSWORD, make_user
from tests.oidc_provider import ALICE, Provider

if TYPE_CHECKING:
    from pytest_django.fixtures import SettingsWrapper

pytestmark = pytest.mark.django_db
CONSENT = "/accounts/hospital/sign-up/"
AGAIN = "/accounts/hospital/again/"
ERASE = "/privacy/erase/"


# --- Off, and on ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [SIGN_IN, CALLBACK, CONSENT, AGAIN])
def test_without_a_configured_provider_there_is_no_such_page(client: Client, path: str) -> None:
    client.force_login(make_user())
    assert client.get(path).status_code in {404, 405}
    assert client.post(path).status_code in {404, 405}
    assert "Sign in through" not in Client().get(LOGIN).content.decode()


def test_the_sign_in_page_names_the_hospital_and_sends_there_by_a_page_of_ours(
    client: Client, hospital: Provider
) -> None:
    assert "Sign in through St. Mary's" in told(client)
    answer = client.post(SIGN_IN)
    target = target_of(answer)
    assert target.startswith(f"{hospital.issuer}/authorize?")
    asked = parse_qs(urlsplit(target).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert len(asked["nonce"][0]) > 40
    assert "form-action 'self'" in answer["Content-Security-Policy"]


# --- Who gets in ----------------------------------------------------------------------------------


def test_who_was_invited_gets_in_by_the_verified_address_with_the_role_given_here(
    client: Client, hospital: Provider
) -> None:
    alice = create_account(email="Alice@Hospital.example", role=Role.PATIENT, by=None)
    hospital.person |= {"roles": ["admin"], "role": "admin", "groups": ["dermatologist"]}
    answer = sign_in(client)
    assert answer["Location"] == "/dashboard/"
    assert who(client) == str(alice.pk)
    alice.refresh_from_db()
    assert alice.role == Role.PATIENT
    assert AuditEvent.objects.filter(action=Action.SIGN_IN_LINKED, subject_id=alice.pk).exists()


def test_the_next_time_the_address_does_not_matter(client: Client, hospital: Provider) -> None:
    alice = create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    sign_in(client)
    client.logout()
    hospital.person |= {"email": "alder@hospital.example", "email_verified": False}
    sign_in(client)
    assert who(client) == str(alice.pk)


def test_nobody_gets_in_uninvited(client: Client, hospital: Provider) -> None:
    assert was_refused(client, sign_in(client))
    assert "Ask an administrator to invite you" in told(client)
    assert not User.objects.exists()


def test_a_new_patient_agrees_first_and_is_a_patient_whatever_the_token_says(
    client: Client, hospital: Provider, settings: SettingsWrapper
) -> None:
    settings.OIDC_SIGNUP = "patients"
    hospital.person |= {"role": "admin", "is_staff": True}
    assert sign_in(client)["Location"] == CONSENT
    assert "bearer of much" not in str(dict(client.session))
    assert ALICE["email"] in client.get(CONSENT).content.decode()
    assert client.post(CONSENT, {"email": "root@hospital.example"}).status_code == 200
    assert not User.objects.exists()
    answer = client.post(CONSENT, {"health_data": "on", "email": "root@hospital.example"})
    assert answer["Location"] == "/dashboard/"
    alice = User.objects.get()
    assert (alice.email, alice.name, alice.role) == (ALICE["email"], ALICE["name"], Role.PATIENT)
    assert not alice.has_usable_password()
    assert who(client) == str(alice.pk)
    assert Consent.objects.filter(user=alice, withdrawn_at=None).count() == 1
    assert EmailAddress.objects.get(user=alice).verified
    assert SocialAccount.objects.get(user=alice).extra_data == {}
    assert not SocialToken.objects.exists()


def test_a_closed_account_stays_closed(client: Client, hospital: Provider) -> None:
    alice = create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    sign_in(client)
    set_active(alice, active=False, by=make_user("root", role=Role.ADMIN))
    client.logout()
    assert sign_in(client)["Location"] == "/accounts/inactive/"
    assert who(client) is None


# --- The second factor ----------------------------------------------------------------------------


def test_a_dermatologist_without_a_second_factor_reaches_nothing_but_its_set_up(
    client: Client, hospital: Provider
) -> None:
    create_account(email=ALICE["email"], role=Role.DERMATOLOGIST, by=None)
    hospital.person["amr"] = ["mfa", "hwk"]
    sign_in(client)
    assert client.get("/reviews/")["Location"] == "/accounts/second-factor/totp/activate/"
    assert client.get("/accounts/second-factor/totp/activate/").status_code == 200


def test_the_hospitals_own_second_factor_does_not_stand_for_ours(
    client: Client, hospital: Provider
) -> None:
    alice = create_account(email=ALICE["email"], role=Role.DERMATOLOGIST, by=None)
    TOTP.activate(alice, generate_totp_secret())
    hospital.person["amr"] = ["mfa", "hwk"]
    answer = sign_in(client)
    assert answer["Location"].startswith("/accounts/second-factor/authenticate/")
    assert who(client) is None


# --- Asking anew before what matters --------------------------------------------------------------


def grow_old(client: Client) -> None:
    """Let the sign-in of this session be an hour ago."""
    session = client.session
    records = session[AUTHENTICATION_METHODS_SESSION_KEY]
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [
        {**one, "at": one["at"] - 3600} for one in records
    ]
    session.save()


@pytest.mark.parametrize(
    "path", [ERASE, "/accounts/password/set/", "/accounts/second-factor/totp/activate/"]
)
def test_before_what_matters_the_hospital_is_asked_anew(
    client: Client, hospital: Provider, path: str
) -> None:
    alice = create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    sign_in(client)
    assert client.get(path).status_code == 200
    grow_old(client)
    asked = client.get(path)
    assert asked["Location"].startswith(AGAIN)
    page = client.get(asked["Location"])
    assert f'name="next" value="{path}"' in page.content.decode()
    start = client.post(AGAIN, {"next": path})
    query = parse_qs(urlsplit(target_of(start)).query)
    assert (query["prompt"], query["max_age"]) == (["login"], ["0"])
    assert come_back(client, start)["Location"] == path
    assert who(client) == str(alice.pk)
    assert client.get(path).status_code == 200


def test_a_provider_that_only_says_who_is_signed_in_there_is_not_enough(
    client: Client, hospital: Provider
) -> None:
    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    sign_in(client)
    grow_old(client)
    hospital.person["auth_time"] = int(time.time()) - 600
    answer = come_back(client, client.post(AGAIN, {"next": ERASE}))
    assert answer["Location"] == LOGIN
    assert client.get(ERASE)["Location"].startswith(AGAIN)


# What lies ahead is no time either.
@pytest.mark.parametrize(
    "auth_time",
    [None, time.time() - 3600, time.time() + 86_400, time.time() * 1000],
    ids=["absent", "an hour ago", "tomorrow", "now in milliseconds"],
)
def test_who_was_not_asked_there_just_now_is_asked_before_what_matters(
    client: Client, hospital: Provider, auth_time: float | None
) -> None:
    """A browser that is signed in at the hospital passes through it without a question."""
    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    hospital.person["auth_time"] = auth_time and int(auth_time)
    sign_in(client)
    assert client.get("/dashboard/").status_code == 200
    assert client.get(ERASE)["Location"].startswith(AGAIN)
    del hospital.person["auth_time"]  # it asks now
    come_back(client, client.post(AGAIN, {"next": ERASE}))
    assert client.get(ERASE).status_code == 200


def test_another_person_who_is_asked_there_does_not_refresh_this_session(
    client: Client, hospital: Provider
) -> None:
    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    hospital.person["auth_time"] = int(time.time()) - 3600
    sign_in(client)
    del hospital.person["auth_time"]
    hospital.person |= {"sub": "mallory", "email": "mallory@hospital.example"}
    come_back(client, client.post(AGAIN, {"next": ERASE}))
    assert client.get(ERASE)["Location"].startswith(AGAIN)


def test_a_password_given_here_counts_whatever_the_hospital_says(
    client: Client, hospital: Provider
) -> None:
    alice = create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    alice.set_password(PASSWORD)
    alice.save()
    hospital.person["auth_time"] = int(time.time()) - 3600
    sign_in(client)
    asked = client.get(LINK)
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    client.post(asked["Location"], {"password": PASSWORD})
    assert client.get(LINK).status_code == 200


def test_where_to_go_afterwards_stays_on_this_site(client: Client, hospital: Provider) -> None:
    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    assert sign_in(client, next="https://elsewhere.example/")["Location"] == "/dashboard/"
