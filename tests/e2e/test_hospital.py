"""Sign-in through a hospital in a real browser: the page that goes on, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from accounts.models import Role
from accounts.people import create_account
from tests.e2e.conftest import ARGUMENTS, CHROMIUM
from tests.oidc_provider import ALICE, configure, serving

if TYPE_CHECKING:
    from pytest_django.fixtures import SettingsWrapper
    from pytest_django.live_server_helper import LiveServer

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def test_a_browser_goes_to_the_hospital_and_comes_back_signed_in(
    live_server: LiveServer, settings: SettingsWrapper
) -> None:
    from playwright.sync_api import sync_playwright

    create_account(email=ALICE["email"], role=Role.PATIENT, by=None)
    with serving() as hospital, sync_playwright() as playwright:
        hospital.person = ALICE
        configure(settings, hospital)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text))
        page.goto(f"{live_server.url}/accounts/login/")
        page.get_by_role("button", name="Sign in through St. Mary's").click()
        page.wait_for_url("**/dashboard/", timeout=60_000)
        page.get_by_role("heading", level=1).wait_for()
        browser.close()
    assert complaints == []
