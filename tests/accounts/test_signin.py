"""Sign-in, sign-out, reset: sessions, throttling, and no word about who has an account."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from accounts.models import Role, User
from accounts.people import change_role, create_account, set_active
from tests.factories import PASSWORD, make_user
from tests.post import delivered, path_of

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"
RESET = "/accounts/password/reset/"
HOME_ADDRESS = "203.0.113.5"
STRANGERS_ADDRESS = "198.51.100.7"
PRIVATE_PAGE = "/accounts/profile/"


def sign_in(
    client: Client, user: User | str, password: str = PASSWORD, address: str = HOME_ADDRESS
) -> Answer:
    email = user if isinstance(user, str) else user.email
    return client.post(LOGIN, {"login": email, "password": password}, REMOTE_ADDR=address)


def is_signed_in(client: Client) -> bool:
    return client.get(PRIVATE_PAGE).status_code == 200


def without_csrf(answer: Answer) -> str:
    """Return the page without what differs from one request to the next."""
    return "\n".join(
        line
        for line in answer.content.decode().splitlines()
        if "csrfmiddlewaretoken" not in line and 'name="login"' not in line
    )


def test_address_and_password_open_the_account(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    answer = sign_in(client, "ALICE@example.org")
    assert answer.headers["Location"] == "/dashboard/"
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_the_session_key_changes_at_sign_in_and_dies_at_sign_out(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    client.get(LOGIN)
    session = client.session
    session["before"] = True
    session.save()
    client.cookies["sessionid"] = session.session_key
    before = session.session_key
    sign_in(client, alice)
    during = client.cookies["sessionid"].value
    assert during != before
    client.post("/accounts/logout/")
    thief = Client()
    thief.cookies["sessionid"] = during
    assert not is_signed_in(thief)
    thief.cookies["sessionid"] = before
    assert not is_signed_in(thief)


def test_reading_the_sign_out_page_signs_nobody_out(client: Client) -> None:
    sign_in(client, make_user("alice", password=PASSWORD))
    assert client.get("/accounts/logout/").status_code == 200
    assert is_signed_in(client)


def test_sign_out_and_sign_in_need_the_csrf_token() -> None:
    alice = make_user("alice", password=PASSWORD)
    strict = Client(enforce_csrf_checks=True)
    assert sign_in(strict, alice).status_code == 403
    strict.force_login(alice)
    assert strict.post("/accounts/logout/").status_code == 403
    assert is_signed_in(strict)


def test_a_wrong_password_and_an_unknown_address_look_the_same(client: Client) -> None:
    make_user("alice", password=PASSWORD)
    wrong = sign_in(client, "alice@example.org", "wrong password here")
    unknown = sign_in(client, "nobody@example.org", "wrong password here")
    assert wrong.status_code == unknown.status_code == 200
    assert without_csrf(wrong) == without_csrf(unknown)
    assert "<title>Error:" in wrong.content.decode()


def test_an_unknown_address_takes_as_long_as_a_wrong_password(client: Client) -> None:
    make_user("alice", password=PASSWORD)
    spent: dict[str, list[float]] = {"alice@example.org": [], "nobody@example.org": []}
    for attempt in range(4):
        for email, times in spent.items():
            started = time.process_time()
            sign_in(client, email, "wrong password here", f"192.0.2.{attempt + 1}")
            times.append(time.process_time() - started)
    known, unknown = (min(times) for times in spent.values())
    # One Argon2 hash each; without it, the unknown address would take a small part of the time.
    assert unknown > 0.5 * known


def test_guessing_is_throttled_for_account_and_address(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    for _ in range(5):
        sign_in(client, alice, "wrong password here", STRANGERS_ADDRESS)
    answer = sign_in(client, alice, PASSWORD, STRANGERS_ADDRESS)
    assert "Too many failed" in answer.content.decode()
    assert "_auth_user_id" not in client.session


def test_strangers_cannot_lock_a_person_out(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    for _ in range(8):
        sign_in(Client(), alice, "wrong password here", STRANGERS_ADDRESS)
    sign_in(client, alice, PASSWORD, HOME_ADDRESS)
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_an_invented_forwarding_header_does_not_get_round_the_throttle(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    for n in range(6):
        client.post(
            LOGIN,
            {"login": alice.email, "password": "wrong password here"},
            REMOTE_ADDR=STRANGERS_ADDRESS,
            headers={"x-forwarded-for": f"192.0.2.{n}"},
        )
    answer = sign_in(client, alice, PASSWORD, STRANGERS_ADDRESS)
    assert "Too many failed" in answer.content.decode()


def test_a_subscribers_many_addresses_are_one_place(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    for n in range(6):
        sign_in(Client(), alice, "wrong password here", f"2001:db8:1:2::{n}")
    refused = sign_in(Client(), alice, PASSWORD, "2001:db8:1:2:aaaa::9")
    assert "Too many failed" in refused.content.decode()
    sign_in(client, alice, PASSWORD, "2001:db8:1:3::9")
    assert is_signed_in(client)


def test_another_host_name_gives_no_new_tries(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["dermai.example", "other.example"]
    alice = make_user("alice", password=PASSWORD)
    for host in ("dermai.example", "other.example", "dermai.example:8443") * 2:
        sign_in(Client(headers={"host": host}), alice, "wrong password here")
    answer = sign_in(Client(headers={"host": "other.example:81"}), alice)
    assert "Too many failed" in answer.content.decode()


def test_behind_a_trusted_proxy_only_what_that_one_wrote_is_counted(
    client: Client, settings: Settings
) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    alice = make_user("alice", password=PASSWORD)

    def try_one(password: str, forwarded: str) -> str:
        sent = {"login": alice.email, "password": password}
        headers = {"x-forwarded-for": forwarded}
        return client.post(LOGIN, sent, headers=headers).content.decode()

    for n in range(6):
        try_one("wrong password here", f"192.0.2.{n}, {STRANGERS_ADDRESS}")
    assert "Too many failed" in try_one(PASSWORD, f"192.0.2.9, {STRANGERS_ADDRESS}")
    assert "_auth_user_id" not in client.session
    # Whom the stranger pretended to be is not held up for it.
    try_one(PASSWORD, "192.0.2.9")
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_disabling_an_account_ends_access_at_the_next_request(client: Client) -> None:
    alice, admin = make_user("alice", password=PASSWORD), make_user("ada", role=Role.ADMIN)
    sign_in(client, alice)
    assert is_signed_in(client)
    set_active(alice, active=False, by=admin)
    assert not is_signed_in(client)
    sign_in(client, alice)
    assert not is_signed_in(client)


def test_demoting_an_administrator_ends_the_admin_at_the_next_request(client: Client) -> None:
    first, second = (
        make_user("ada", password=PASSWORD, role=Role.ADMIN),
        make_user("bob", role=Role.ADMIN),
    )
    client.force_login(first)
    change_role(first, Role.PATIENT, by=second)
    assert client.get("/admin/accounts/user/").status_code != 200


def test_an_outside_address_is_never_gone_to_after_sign_in(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    answer = client.post(
        f"{LOGIN}?next=https://evil.example/",
        {"login": alice.email, "password": PASSWORD, "next": "https://evil.example/"},
    )
    assert answer.headers["Location"] == "/dashboard/"


def reset_link(email: str) -> str:
    (message,) = [found for found in delivered() if found.to == [email]]
    link = next(word for word in message.body.split() if "/password/reset/key/" in word)
    return path_of(link)


def set_new_password(client: Client, link: str, password: str) -> Answer:
    form = client.get(link, follow=True)
    path = form.request["PATH_INFO"]
    return client.post(path, {"password1": password, "password2": password})


def test_a_reset_by_mail_sets_a_new_password_once(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    client.post(RESET, {"email": alice.email})
    link = reset_link(alice.email)
    set_new_password(client, link, "a wholly new password")
    assert not is_signed_in(client), "a reset signs nobody in"
    sign_in(client, alice, "a wholly new password")
    assert is_signed_in(client)
    again = Client().get(link, follow=True).content.decode()
    assert "This link does not work" in again


def test_a_reset_ends_the_sessions_that_were_open(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    thief = Client()
    sign_in(thief, alice)
    client.post(RESET, {"email": alice.email})
    set_new_password(client, reset_link(alice.email), "a wholly new password")
    assert not is_signed_in(thief)


def test_asking_for_a_reset_looks_the_same_for_known_and_unknown(client: Client) -> None:
    make_user("alice", password=PASSWORD)
    known = client.post(RESET, {"email": "alice@example.org"}, follow=True)
    unknown = client.post(RESET, {"email": "nobody@example.org"}, follow=True)
    assert known.redirect_chain == unknown.redirect_chain
    assert without_csrf(known) == without_csrf(unknown)
    assert len(delivered()) == 2, "one message each: the time must not tell"


def test_changing_the_password_asks_for_the_old_one_and_ends_the_session(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    sign_in(client, alice)
    new = {"password1": "a wholly new password", "password2": "a wholly new password"}
    refused = client.post("/accounts/password/change/", {"oldpassword": "no", **new})
    assert "oldpassword" in refused.context["form"].errors
    client.post("/accounts/password/change/", {"oldpassword": PASSWORD, **new})
    assert not is_signed_in(client)
    sign_in(client, alice, "a wholly new password")
    assert is_signed_in(client)


def test_an_account_without_a_password_opens_to_nobody(client: Client) -> None:
    invited = create_account(email="derm@example.org", role=Role.DERMATOLOGIST, by=None)
    for guess in ("", "None", "!", invited.password):
        sign_in(client, invited, guess or " ")
        assert not is_signed_in(client)
