"""Passkeys, with a real browser and the authenticator that it can pretend to have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

from accounts import second_factor
from accounts.models import Role, User
from tests.factories import PASSWORD, make_user

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from pytest_django.live_server_helper import LiveServer

CHROMIUM = os.environ.get("CHROMIUM") or "/usr/bin/chromium"
WEBAUTHN = Authenticator.Type.WEBAUTHN
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@contextmanager
def browser_with_a_device(live_server: LiveServer) -> Iterator[Page]:
    """Open a page in a browser with a device; a complaint on its console fails the test."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        base = live_server.url.replace("127.0.0.1", "localhost")
        page = browser.new_context(base_url=base, locale="en-GB").new_page()
        complaints: list[str] = []
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        devtools = page.context.new_cdp_session(page)
        devtools.send("WebAuthn.enable")
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        yield page
        browser.close()
    assert not complaints, complaints


def give_password(page: Page, user: User) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("E-mail address").fill(user.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def passkey_of(user: User, name: str = "Phone") -> Authenticator:
    """Store one that no device has: enough for the pages that list it."""
    return Authenticator.objects.create(user=user, type=WEBAUTHN, data={"name": name})


@pytest.mark.django_db(transaction=True)
def test_a_dermatologist_adds_a_passkey_and_signs_in_with_it(live_server: LiveServer) -> None:
    derm = make_user("derm", role=Role.DERMATOLOGIST, password=PASSWORD, second_factor_since=None)
    with browser_with_a_device(live_server) as page:
        give_password(page, derm)
        page.get_by_role("link", name="Use a passkey instead").click()
        page.get_by_role("button", name="Add this device").click()
        page.get_by_text("Keep these where you keep what matters").wait_for()

        page.context.clear_cookies()
        give_password(page, derm)
        page.goto("/accounts/profile/")
        assert page.url.endswith("/second-factor/authenticate/")  # the password opened nothing
        page.get_by_role("button", name="Use a passkey").click()
        page.wait_for_url("**/dashboard/")

    derm.refresh_from_db()
    assert derm.second_factor_since is not None
    assert Authenticator.objects.get(user=derm, type=WEBAUTHN).last_used_at is not None


@pytest.mark.django_db
def test_who_must_have_a_factor_may_drop_one_of_two_but_not_the_last() -> None:
    derm = make_user("derm", role=Role.DERMATOLOGIST)
    passkey = passkey_of(derm)
    adapter = second_factor.MFAAdapter()
    assert not adapter.can_delete_authenticator(passkey)
    TOTP.activate(derm, generate_totp_secret())
    assert adapter.can_delete_authenticator(passkey)


@pytest.mark.django_db
def test_a_removed_passkey_is_gone_and_nobody_removes_anothers(client: Client) -> None:
    alice, mallory = make_user("alice", password=PASSWORD), make_user("mallory")
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    # Without the signal, which would end a session that was opened with the password alone.
    hers, other = Authenticator.objects.bulk_create(
        Authenticator(user=user, type=WEBAUTHN, data={"name": "Phone"}) for user in (alice, mallory)
    )
    address = "/accounts/second-factor/webauthn/keys/{}/remove/"
    assert client.post(address.format(other.pk)).status_code == 404
    assert client.post(address.format(hers.pk)).status_code == 302
    assert list(Authenticator.objects.filter(type=WEBAUTHN)) == [other]


@pytest.mark.django_db
def test_a_made_up_answer_of_a_device_signs_nobody_in(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    TOTP.activate(alice, generate_totp_secret())
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    for made_up in ("{}", "[]", '{"id": "x", "rawId": "x", "type": "public-key", "response": {}}'):
        answer = client.post("/accounts/second-factor/authenticate/", {"credential": made_up})
        assert answer.status_code == 200
    assert client.get("/accounts/profile/").status_code == 302
