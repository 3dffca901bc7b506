"""API tokens: what gets one, what it opens, what ends it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client
from django.utils import timezone

from accounts import api, tokens
from accounts.models import ApiToken, Role, User
from accounts.people import change_role, set_active
from tests.factories import PASSWORD, make_user
from tests.post import delivered, path_of

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer

pytestmark = pytest.mark.django_db
TOKENS = "/api/v1/tokens/"


def ask(client: Client, *, email: str, password: str = PASSWORD, **more: Any) -> Answer:
    body = {"email": email, "password": password, **more.pop("body", {})}
    return client.post(TOKENS, body, content_type="application/json", **more)


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def opens(secret: str) -> bool:
    return Client().get(TOKENS, headers=bearer(secret)).status_code == 200


@pytest.fixture
def alice() -> User:
    return make_user("alice", password=PASSWORD)


def test_address_and_password_get_a_token_that_opens_the_api(client: Client, alice: User) -> None:
    answer = ask(client, email="Alice@Example.org")
    assert answer.status_code == 201
    assert set(answer.json()) == {"token", "expires_at"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert opens(answer.json()["token"])
    assert alice.api_tokens.get().last_used_at is not None


def test_the_token_itself_is_stored_nowhere(client: Client, alice: User) -> None:
    secret = ask(client, email=alice.email).json()["token"]
    row = ApiToken.objects.filter(user=alice).values().get()
    assert secret not in str(row)
    assert len(secret) >= 43


def test_a_wrong_password_an_unknown_address_and_a_closed_account_look_the_same(
    client: Client, alice: User
) -> None:
    closed = make_user("carol", password=PASSWORD, is_active=False)
    answers = [
        ask(client, email=alice.email, password="wrong password here"),
        ask(client, email="nobody@example.org", password="wrong password here"),
        ask(client, email=closed.email),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert len({answer.content for answer in answers}) == 1
    assert not ApiToken.objects.exists()


def test_guessing_is_throttled_and_locks_nobody_else_out(client: Client, alice: User) -> None:
    for _ in range(5):
        ask(client, email=alice.email, password="wrong password here", REMOTE_ADDR="198.51.100.7")
    assert ask(client, email=alice.email, REMOTE_ADDR="198.51.100.7").status_code == 429
    assert ask(client, email=alice.email, REMOTE_ADDR="203.0.113.5").status_code == 201


def test_production_gives_no_token_for_an_unconfirmed_address(
    client: Client, alice: User, settings: Any
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    EmailAddress.objects.filter(user=alice).update(verified=False)
    assert ask(client, email=alice.email).status_code == 403
    assert not ApiToken.objects.exists()


def test_an_expired_token_is_dead(alice: User) -> None:
    token, secret = tokens.issue(alice)
    assert opens(secret)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert not opens(secret)


def test_the_token_of_a_closed_account_is_dead_and_stays_dead(alice: User) -> None:
    _, secret = tokens.issue(alice)
    admin = make_user("ada", role=Role.ADMIN)
    set_active(alice, active=False, by=admin)
    assert not opens(secret)
    set_active(alice, active=True, by=admin)
    assert not opens(secret)


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer x", "Bearer a b", "Bearer \xff", "bearer " + "x" * 5000]
)
def test_a_header_that_is_no_token_is_refused(client: Client, header: str) -> None:
    answer = client.get(TOKENS, headers={"authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_person_revokes_a_token_of_their_own(alice: User) -> None:
    token, secret = tokens.issue(alice)
    other, kept = tokens.issue(alice)
    answer = Client().delete(f"{TOKENS}{token.pk}/", headers=bearer(kept))
    assert answer.status_code == 204
    assert not opens(secret)
    assert opens(kept)
    assert [row["id"] for row in Client().get(TOKENS, headers=bearer(kept)).json()] == [other.pk]


def test_a_program_revokes_the_token_it_uses(alice: User) -> None:
    _, secret = tokens.issue(alice)
    assert Client().delete(f"{TOKENS}current/", headers=bearer(secret)).status_code == 204
    assert not opens(secret)


def test_nobody_revokes_or_sees_anothers_token(alice: User) -> None:
    _, bobs = tokens.issue(make_user("bob"))
    token, secret = tokens.issue(alice)
    assert Client().delete(f"{TOKENS}{token.pk}/", headers=bearer(bobs)).status_code == 404
    assert opens(secret)
    assert token.pk not in [row["id"] for row in Client().get(TOKENS, headers=bearer(bobs)).json()]


def test_without_a_token_there_is_no_list(client: Client) -> None:
    assert client.get(TOKENS).status_code == 401


def test_a_session_may_not_revoke_without_the_csrf_token(alice: User) -> None:
    token, secret = tokens.issue(alice)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.delete(f"{TOKENS}{token.pk}/").status_code == 403
    assert opens(secret)


# --- What ends one that nobody revoked ------------------------------------------------------------


@pytest.mark.parametrize("way", ["change", "reset"])
def test_a_token_ends_with_the_password_it_was_given_for(client: Client, way: str) -> None:
    alice = make_user("alice", password=PASSWORD)
    _token, secret = tokens.issue(alice)
    new = {"password1": "a wholly new password", "password2": "a wholly new password"}
    if way == "change":
        client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
        client.post("/accounts/password/change/", {"oldpassword": PASSWORD, **new})
    else:
        client.post("/accounts/password/reset/", {"email": alice.email})
        [letter] = delivered()
        link = next(word for word in str(letter.body).split() if "/password/reset/key/" in word)
        page = client.get(path_of(link), follow=True)
        client.post(page.request["PATH_INFO"], new)
    alice.refresh_from_db()
    assert alice.check_password(new["password1"])
    assert not opens(secret)


def test_a_token_given_for_the_password_alone_ends_when_a_second_factor_is_set_up(
    alice: User,
) -> None:
    _token, secret = tokens.issue(alice)
    factor = TOTP.activate(alice, generate_totp_secret())
    assert not opens(secret)
    alice.refresh_from_db()
    _token, later = tokens.issue(alice)
    RecoveryCodes.activate(alice)
    assert opens(later), "codes are no factor: nothing has changed"
    factor.instance.delete()
    assert not opens(later)


def test_a_token_ends_with_the_role_it_was_given_under(alice: User) -> None:
    _token, secret = tokens.issue(alice)
    ada = make_user("ada", role=Role.ADMIN)
    change_role(alice, Role.DERMATOLOGIST, by=ada)
    assert not opens(secret)
    change_role(alice, Role.PATIENT, by=ada)
    assert not opens(secret)


def test_tokens_are_counted_however_right_the_password(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(api.RATES, "token", "2/h/user")
    answers = [ask(client, email=alice.email) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert int(answers[-1]["Retry-After"]) > 3000
    assert ApiToken.objects.count() == 2
    make_user("bob", password=PASSWORD)
    assert ask(client, email="bob@example.org").status_code == 201


def test_a_token_opens_no_closed_account_however_it_was_closed(alice: User) -> None:
    _token, secret = tokens.issue(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert tokens.find(secret) is None
    assert not opens(secret)
