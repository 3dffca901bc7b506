"""Sign-in through a hospital's provider, against a real one that the test serves."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.socialaccount.models import SocialAccount, SocialToken
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings as configured
from django.test import Client

from accounts.audit.models import Action, AuditEvent
from accounts.models import Consent, Role, User
from accounts.people import create_account, set_active
from tests.factories import make_user
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, Claims, Provider, browse, serving

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer
    from pytest_django.fixtures import SettingsWrapper

pytestmark = pytest.mark.django_db
SIGN_IN = "/accounts/hospital/"
CALLBACK = "/accounts/hospital/callback/"
CONSENT = "/accounts/hospital/sign-up/"
AGAIN = "/accounts/hospital/again/"
ERASE = "/privacy/erase/"
LOGIN = "/accounts/login/"
ALICE = {
    "sub": "4711",
    "email": "alice@hospital.example",
    "email_verified": True,
    "name": "Alice Alder",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with serving() as provider:
        yield provider


@pytest.fixture
def hospital(server: Provider, settings: SettingsWrapper) -> Provider:
    server.person, server.userinfo, server.described = dict(ALICE), None, {}
    server.sign, server.cancels = server.signed, False
    settings.OIDC_ISSUER = server.issuer
    settings.OIDC_SIGNUP = "invited"
    kinds = configured.SOCIALACCOUNT_PROVIDERS["openid_connect"]
    app = {
        "provider_id": "hospital",
        "name": "St. Mary's",
        "client_id": CLIENT_ID,
        "secret": CLIENT_SECRET,
        "settings": {"server_url": f"{server.issuer}/.well-known/openid-configuration"},
    }
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {**kinds, "APPS": [app]}}
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    return server


def target_of(answer: Answer) -> str:
    """Return where the page goes on to by itself."""
    assert answer.status_code == 200
    match = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', answer.content.decode())
    assert match
    return html.unescape(match[1])


def come_back(client: Client, start: Answer) -> Answer:
    """Sign in at the provider, and follow it back."""
    back = urlsplit(browse(target_of(start)))
    assert back.path == CALLBACK
    return client.get(f"{back.path}?{back.query}")


def sign_in(client: Client, **sent: str) -> Answer:
    return come_back(client, client.post(SIGN_IN, sent))


def who(client: Client) -> str | None:
    found = client.session.get("_auth_user_id")
    return str(found) if found else None


def was_refused(client: Client, answer: Answer) -> bool:
    noted = AuditEvent.objects.filter(action=Action.SIGN_IN_FAILED, details__by="hospital")
    back = answer.status_code == 302 and answer["Location"] == LOGIN
    return back and who(client) is None and noted.exists()


def told(client: Client) -> str:
    return html.unescape(client.get(LOGIN).content.decode())


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


# --- Nobody takes over an account -----------------------------------------------------------------


@pytest.mark.parametrize("verified", [False, None, "true", "false", 1])
def test_an_address_that_the_hospital_has_not_verified_opens_nothing(
    client: Client, hospital: Provider, verified: object
) -> None:
    create_account(email=ALICE["email"], role=Role.DERMATOLOGIST, by=None)
    hospital.person["email_verified"] = verified
    assert was_refused(client, sign_in(client))
    assert "not confirmed there" in told(client)


def test_an_account_whose_address_nobody_confirmed_here_is_not_matched(
    client: Client, hospital: Provider
) -> None:
    lurker = make_user("lurker", password="correct horse battery staple")
    User.objects.filter(pk=lurker.pk).update(email=ALICE["email"])
    EmailAddress.objects.create(user=lurker, email=ALICE["email"], verified=False, primary=True)
    assert was_refused(client, sign_in(client))
    assert "never confirmed" in told(client)
    assert not SocialAccount.objects.exists()


def test_a_second_person_with_the_same_address_does_not_get_the_account_of_the_first(
    client: Client, hospital: Provider
) -> None:
    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    sign_in(client)
    client.logout()
    hospital.person["sub"] = "0815"
    answer = sign_in(client)
    assert answer["Location"] == LOGIN
    assert who(client) is None
    assert "account of somebody else" in told(client)


def test_the_same_subject_of_another_issuer_is_another_person(hospital: Provider) -> None:
    from allauth.socialaccount.adapter import get_adapter

    provider = get_adapter().get_provider(None, "hospital")
    ours = provider.extract_uid({"iss": "https://a.example", "sub": "1"})
    assert ours != provider.extract_uid({"iss": "https://b.example", "sub": "1"})


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


# --- Answers that do not hold ---------------------------------------------------------------------


def other_key(provider: Provider, claims: Claims) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return provider.signed(claims, key=key)


def no_signature(provider: Provider, claims: Claims) -> str:
    return jwt.encode(claims, None, algorithm="none", headers={"kid": "one"})


def by_client_secret(provider: Provider, claims: Claims) -> str:
    return jwt.encode(claims, CLIENT_SECRET * 2, algorithm="HS256", headers={"kid": "one"})


def by_public_key(provider: Provider, claims: Claims) -> str:
    der = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    public = provider.key.public_key().public_bytes(*der)
    return jwt.encode(claims, public, algorithm="HS256", headers={"kid": "one"})


def unknown_key(provider: Provider, claims: Claims) -> str:
    return provider.signed(claims, kid="two")


def no_token(provider: Provider, claims: Claims) -> str:
    return ""


@pytest.mark.parametrize(
    "sign", [other_key, no_signature, by_client_secret, by_public_key, unknown_key, no_token]
)
def test_a_token_without_the_providers_signature_opens_nothing(
    client: Client, hospital: Provider, sign: object
) -> None:
    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    assert callable(sign)
    hospital.sign = lambda claims: str(sign(hospital, claims))
    assert was_refused(client, sign_in(client))


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "another-client"},
        {"aud": [CLIENT_ID, "another-client"]},
        {"azp": "another-client"},
        {"exp": 1},
        {"exp": None},
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"sub": None},
    ],
)
def test_a_token_for_another_purpose_opens_nothing(
    client: Client, hospital: Provider, wrong: Claims
) -> None:
    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    hospital.person |= wrong
    hospital.sign = lambda claims: hospital.signed(
        {name: value for name, value in claims.items() if value is not None}
    )
    assert was_refused(client, sign_in(client))
    assert "did not work" in told(client)


def test_user_information_counts_for_the_same_person_only(
    client: Client, hospital: Provider
) -> None:
    alice = create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    hospital.person = {"sub": "4711"}
    hospital.userinfo = {**ALICE, "sub": "0815"}
    assert was_refused(client, sign_in(client))
    hospital.userinfo = ALICE
    sign_in(client)
    assert who(client) == str(alice.pk)


def test_the_answer_to_another_browser_opens_nothing(client: Client, hospital: Provider) -> None:
    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    start = Client().post(SIGN_IN)
    assert was_refused(client, come_back(client, start))


def test_an_answer_counts_once(client: Client, hospital: Provider) -> None:
    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    back = urlsplit(browse(target_of(client.post(SIGN_IN))))
    client.get(f"{back.path}?{back.query}")
    client.logout()
    assert was_refused(client, client.get(f"{back.path}?{back.query}"))


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://elsewhere.example"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "http://hospital.example/token"},
        {"jwks_uri": None},
    ],
)
def test_a_description_that_does_not_hold_is_refused(
    client: Client, hospital: Provider, described: Claims
) -> None:
    hospital.described = described
    assert was_refused(client, client.post(SIGN_IN))


def test_a_provider_that_is_down_is_said_plainly(
    client: Client, hospital: Provider, settings: SettingsWrapper
) -> None:
    kinds = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]
    nowhere = {"server_url": "http://127.0.0.1:1/.well-known/openid-configuration"}
    app = {**kinds["APPS"][0], "settings": nowhere}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {**kinds, "APPS": [app]}}
    assert was_refused(client, client.post(SIGN_IN))
    assert "Signing in through St. Mary's did not work" in told(client)


def test_who_turns_back_at_the_hospital_is_back_at_the_sign_in(
    client: Client, hospital: Provider
) -> None:
    hospital.cancels = True
    answer = sign_in(client)
    assert answer["Location"] == LOGIN
    assert "You did not sign in" in told(client)


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


def test_where_to_go_afterwards_stays_on_this_site(client: Client, hospital: Provider) -> None:
    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    assert sign_in(client, next="https://elsewhere.example/")["Location"] == "/dashboard/"
