"""The second factor: mandatory where it must be, single use, and not got round."""

from __future__ import annotations

import base64
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.cache import cache
from django.test import Client

from accounts import second_factor, tokens
from accounts.models import ApiToken, Role, User
from accounts.people import change_role
from tests.factories import PASSWORD, make_user
from tests.otp import code
from tests.post import delivered, path_of

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN = "/accounts/login/"
CODE = "/accounts/second-factor/authenticate/"
SET_UP = "/accounts/second-factor/totp/activate/"
TOKENS = "/api/v1/tokens/"
PRIVATE_PAGES = ("/dashboard/", "/accounts/profile/", "/admin/", "/admin/accounts/user/")


class Person:
    """Somebody with a password and an authenticator app."""

    def __init__(self, name: str, role: str = Role.PATIENT) -> None:
        self.secret = generate_totp_secret()
        self.user = make_user(name, role=role, password=PASSWORD, second_factor_since=None)
        TOTP.activate(self.user, self.secret)
        self.user.refresh_from_db()


def give_password(client: Client, user: User) -> Answer:
    return client.post(LOGIN, {"login": user.email, "password": PASSWORD})


def is_signed_in(client: Client) -> bool:
    return client.get("/accounts/profile/").status_code == 200


def ask_token(user: User, **more: str) -> Answer:
    body = {"email": user.email, "password": PASSWORD, **more}
    return Client().post(TOKENS, body, content_type="application/json")


@pytest.fixture(autouse=True)
def _one_period(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock of the codes: a period may end between the making of one and its use."""
    now = time.time()
    stopped = SimpleNamespace(time=lambda: now)
    monkeypatch.setattr("allauth.mfa.totp.internal.auth.time", stopped)
    monkeypatch.setattr("tests.otp.time", stopped)


@pytest.fixture
def derm() -> Person:
    return Person("derm", Role.DERMATOLOGIST)


def test_the_password_alone_opens_nothing(client: Client, derm: Person) -> None:
    answer = give_password(client, derm.user)
    assert answer.headers["Location"] == CODE
    for page in PRIVATE_PAGES:
        answer = client.get(page)
        assert answer.status_code == 302, page
        assert "/login/" in answer.headers["Location"], page


def test_password_and_code_open_the_account(client: Client, derm: Person) -> None:
    give_password(client, derm.user)
    client.post(CODE, {"code": code(derm.secret)})
    assert is_signed_in(client)


@pytest.mark.parametrize("ahead", [-1, 1])
def test_a_clock_that_is_half_a_minute_off_is_forgiven(
    client: Client, derm: Person, ahead: int
) -> None:
    give_password(client, derm.user)
    client.post(CODE, {"code": code(derm.secret, ahead=ahead)})
    assert is_signed_in(client)


@pytest.mark.parametrize("wrong", ["000000", "", "abcdef", "1234567890"])
def test_a_wrong_code_opens_nothing(client: Client, derm: Person, wrong: str) -> None:
    give_password(client, derm.user)
    answer = client.post(CODE, {"code": wrong})
    assert "<title>Error:" in answer.content.decode()
    assert not is_signed_in(client)


def test_codes_are_guessed_no_more_than_a_few_times(client: Client, derm: Person) -> None:
    give_password(client, derm.user)
    for n in range(6):
        client.post(CODE, {"code": f"00000{n}"})
    client.post(CODE, {"code": code(derm.secret)})
    assert not is_signed_in(client)


@pytest.mark.parametrize("ahead", [-1, 0, 1])
def test_a_code_works_once(derm: Person, ahead: int) -> None:
    used = code(derm.secret, ahead=ahead)
    clients = [Client(), Client()]
    for client in clients:
        give_password(client, derm.user)
        client.post(CODE, {"code": used})
    assert [is_signed_in(client) for client in clients] == [True, False]


def test_a_spent_code_is_remembered_for_as_long_as_it_would_be_right(derm: Person) -> None:
    assert second_factor.spend(derm.user, "123456")
    assert not second_factor.spend(derm.user, "123 456")
    (key,) = cache._cache.get_client().keys("*second-factor:*")  # type: ignore[attr-defined]
    periods = 2 * app_settings.TOTP_TOLERANCE + 1
    left = cache._cache.get_client().ttl(key)  # type: ignore[attr-defined]
    assert periods * app_settings.TOTP_PERIOD - 5 < left <= periods * app_settings.TOTP_PERIOD


def test_a_code_used_for_a_token_is_used_for_the_pages_too(client: Client, derm: Person) -> None:
    used = code(derm.secret)
    assert ask_token(derm.user, otp=used).status_code == 201
    assert ask_token(derm.user, otp=used).status_code == 401
    give_password(client, derm.user)
    client.post(CODE, {"code": used})
    assert not is_signed_in(client)


def test_a_recovery_code_works_once(derm: Person) -> None:
    recovery = RecoveryCodes.activate(derm.user).get_unused_codes()[0]
    clients = [Client(), Client()]
    for client in clients:
        give_password(client, derm.user)
        client.post(CODE, {"code": recovery})
    assert [is_signed_in(client) for client in clients] == [True, False]


def test_a_reset_of_the_password_does_not_get_round_it(client: Client, derm: Person) -> None:
    client.post("/accounts/password/reset/", {"email": derm.user.email})
    link = next(word for word in delivered()[0].body.split() if "/password/reset/key/" in word)
    form = client.get(path_of(link), follow=True)
    new = "a wholly new password"
    client.post(form.request["PATH_INFO"], {"password1": new, "password2": new})
    assert not is_signed_in(client)
    answer = client.post(LOGIN, {"login": derm.user.email, "password": new})
    assert answer.headers["Location"] == CODE
    assert not is_signed_in(client)


@pytest.mark.parametrize("role", [Role.DERMATOLOGIST, Role.ADMIN])
def test_without_one_a_dermatologist_or_administrator_gets_nowhere(
    client: Client, role: str
) -> None:
    user = make_user("new", role=role, password=PASSWORD, second_factor_since=None)
    give_password(client, user)
    for page in PRIVATE_PAGES:
        assert client.get(page).headers["Location"] == SET_UP, page
    answer = client.get("/api/v1/analyses/")
    assert answer.status_code == 403
    assert answer.json()["code"] == "second_factor_missing"
    assert ask_token(user).status_code == 403
    assert not ApiToken.objects.exists()


def test_a_dermatologist_sets_it_up_and_is_let_in(client: Client) -> None:
    user = make_user("new", role=Role.DERMATOLOGIST, password=PASSWORD, second_factor_since=None)
    give_password(client, user)
    page = client.get(SET_UP)
    secret = page.context["form"].secret
    assert secret in page.content.decode()
    assert "data:image/svg+xml;base64," in page.content.decode()
    refused = client.post(SET_UP, {"code": "000000"})
    assert "<title>Error:" in refused.content.decode()
    codes = client.post(SET_UP, {"code": code(secret)}, follow=True)
    assert len(codes.context["unused_codes"]) == 10
    assert codes.context["unused_codes"][0] in codes.content.decode()
    assert is_signed_in(client)
    again = client.get("/accounts/second-factor/recovery-codes/")
    assert codes.context["unused_codes"][0] not in again.content.decode()


def test_setting_it_up_ends_the_sessions_opened_with_the_password_alone(client: Client) -> None:
    user = make_user("new", role=Role.DERMATOLOGIST, password=PASSWORD, second_factor_since=None)
    thief = Client()
    give_password(thief, user)
    give_password(client, user)
    secret = client.get(SET_UP).context["form"].secret
    client.post(SET_UP, {"code": code(secret)})
    assert is_signed_in(client)
    assert not is_signed_in(thief)


def test_what_matters_asks_for_the_password_again_after_a_while(
    client: Client, derm: Person, settings: Any
) -> None:
    give_password(client, derm.user)
    client.post(CODE, {"code": code(derm.secret)})
    page = "/accounts/second-factor/recovery-codes/generate/"
    assert client.get(page).status_code == 200
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    assert "reauthenticate" in client.get(page).headers["Location"]


def test_the_code_that_set_it_up_does_not_sign_in(client: Client) -> None:
    user = make_user("new", role=Role.DERMATOLOGIST, password=PASSWORD, second_factor_since=None)
    give_password(client, user)
    secret = client.get(SET_UP).context["form"].secret
    used = code(secret)
    client.post(SET_UP, {"code": used})
    other = Client()
    give_password(other, user)
    other.post(CODE, {"code": used})
    assert not is_signed_in(other)


def test_a_dermatologist_cannot_switch_it_off_and_a_patient_can() -> None:
    for role, stays in ((Role.DERMATOLOGIST, True), (Role.PATIENT, False)):
        person = Person(f"p-{role}", role)
        client = Client()
        give_password(client, person.user)
        client.post(CODE, {"code": code(person.secret)})
        client.post("/accounts/second-factor/totp/deactivate/", {})
        person.user.refresh_from_db()
        assert Authenticator.objects.filter(user=person.user).exists() is stays, role
        assert (person.user.second_factor_since is not None) is stays, role


def test_a_patient_needs_none_but_is_asked_for_one_that_was_set_up(client: Client) -> None:
    plain = make_user("plain", password=PASSWORD)
    give_password(client, plain)
    assert is_signed_in(client)
    assert ask_token(plain).status_code == 201
    careful = Person("careful")
    other = Client()
    assert give_password(other, careful.user).headers["Location"] == CODE
    assert ask_token(careful.user).json()["code"] == "otp_required"


@pytest.mark.parametrize("otp", ["", "000000"])
def test_a_token_needs_the_code_too(derm: Person, otp: str) -> None:
    answer = ask_token(derm.user, otp=otp) if otp else ask_token(derm.user)
    assert answer.status_code == 401
    assert not ApiToken.objects.exists()


def test_a_wrong_password_says_nothing_about_the_second_factor(derm: Person) -> None:
    body = {"email": derm.user.email, "password": "wrong password here", "otp": code(derm.secret)}
    answer = Client().post(TOKENS, body, content_type="application/json")
    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_credentials"


def test_codes_are_guessed_no_more_than_a_few_times_for_tokens(derm: Person) -> None:
    for n in range(5):
        ask_token(derm.user, otp=f"00000{n}")
    assert ask_token(derm.user, otp=code(derm.secret)).status_code == 429


def test_a_promoted_patient_needs_one_at_the_next_request(client: Client) -> None:
    patient, admin = make_user("pat", password=PASSWORD), make_user("ada", role=Role.ADMIN)
    _, secret = tokens.issue(patient)
    give_password(client, patient)
    change_role(patient, Role.DERMATOLOGIST, by=admin)
    assert client.get("/dashboard/").headers["Location"] == SET_UP
    assert Client().get(TOKENS, headers={"authorization": f"Bearer {secret}"}).status_code == 401


def test_the_secret_is_stored_encrypted(derm: Person) -> None:
    stored = str(Authenticator.objects.get(user=derm.user).data)
    assert derm.secret not in stored
    assert base64.b32decode(derm.secret).hex() not in stored
