"""What a hospital's provider, or somebody in its place, says and is not believed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import jwt
import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.cache import caches
from django.test import Client

from accounts.models import Role, User
from accounts.oidc import views
from accounts.people import create_account
from tests.accounts.through_hospital import (
    LOGIN,
    SIGN_IN,
    come_back,
    sign_in,
    target_of,
    told,
    was_refused,
    who,
)
from tests.factories import make_user
from tests.oidc_provider import ALICE, CLIENT_ID, CLIENT_SECRET, Claims, Provider, browse

if TYPE_CHECKING:
    from pytest_django.fixtures import SettingsWrapper

pytestmark = pytest.mark.django_db


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
    EmailAddress.objects.filter(user=lurker).update(email=ALICE["email"], verified=False)
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
    assert was_refused(client, come_back(client, start), traced=False)


def test_an_answer_counts_once(client: Client, hospital: Provider) -> None:
    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    back = urlsplit(browse(target_of(client.post(SIGN_IN))))
    client.get(f"{back.path}?{back.query}")
    client.logout()
    assert was_refused(client, client.get(f"{back.path}?{back.query}"), traced=False)


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
    assert was_refused(client, client.post(SIGN_IN), traced=False)


def test_a_provider_that_is_down_is_said_plainly(
    client: Client, hospital: Provider, settings: SettingsWrapper
) -> None:
    kinds = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]
    nowhere = {"server_url": "http://127.0.0.1:1/.well-known/openid-configuration"}
    app = {**kinds["APPS"][0], "settings": nowhere}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {**kinds, "APPS": [app]}}
    assert was_refused(client, client.post(SIGN_IN), traced=False)
    assert "Signing in through St. Mary's did not work" in told(client)


def test_nobody_makes_the_product_ask_the_hospital_without_end(
    client: Client, hospital: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(views.RATES, "hospital_sign_in", "2/m/ip")
    for _try in range(2):
        assert client.post(SIGN_IN).status_code == 200
    assert was_refused(client, client.post(SIGN_IN), traced=False)
    elsewhere = client.post(SIGN_IN, REMOTE_ADDR="203.0.113.9")
    assert elsewhere.status_code == 200


def test_who_turns_back_at_the_hospital_is_back_at_the_sign_in(
    client: Client, hospital: Provider
) -> None:
    hospital.cancels = True
    answer = sign_in(client)
    assert answer["Location"] == LOGIN
    assert "You did not sign in" in told(client)


def test_a_description_that_somebody_put_into_redis_is_not_believed(
    client: Client, hospital: Provider
) -> None:
    """Whoever writes there would name keys of their own, and sign in as anybody."""
    alice = create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    key = "oidc:" + hashlib.sha256(hospital.issuer.encode()).hexdigest()
    forged = hospital.description() | {"jwks_uri": "https://evil.example/jwks"}
    caches["default"].set(key, forged, timeout=60)
    sign_in(client)
    assert who(client) == str(alice.pk)
