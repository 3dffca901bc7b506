"""The demo accounts: made once, in the embedded mode only, known to their owner alone."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Consent, Role, User
from tests.factories import make_user
from tests.otp import code

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture
def home(tmp_path: Path, settings: Any) -> Path:
    settings.DERMAI_HOME = tmp_path
    return tmp_path


def make(home: Path) -> dict[str, dict[str, str]]:
    call_command("demo_accounts", verbosity=0)
    accounts: dict[str, dict[str, str]] = json.loads((home / "demo-accounts.json").read_text())
    return accounts


def test_each_role_gets_an_account_that_signs_in(client: Client, home: Path) -> None:
    accounts = make(home)
    assert {role: set(account) for role, account in accounts.items()} == {
        "patient": {"email", "password"},
        "dermatologist": {"email", "password", "totp_secret"},
        "admin": {"email", "password", "totp_secret"},
    }
    for role, account in accounts.items():
        client.post(
            "/accounts/login/", {"login": account["email"], "password": account["password"]}
        )
        if "totp_secret" in account:
            client.post(
                "/accounts/second-factor/authenticate/", {"code": code(account["totp_secret"])}
            )
        user = User.objects.get(pk=client.session["_auth_user_id"])
        assert user.role == role
        client.logout()


def test_the_file_is_its_owners_alone(home: Path) -> None:
    make(home)
    assert stat.S_IMODE((home / "demo-accounts.json").stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["demo-accounts.json"]


def test_the_demo_patient_has_consented(home: Path) -> None:
    make(home)
    assert Consent.objects.get().user.role == Role.PATIENT


def test_a_second_start_changes_nothing(home: Path) -> None:
    first = make(home)
    users = set(User.objects.values_list("email", "password"))
    assert make(home) == first
    assert set(User.objects.values_list("email", "password")) == users


def test_where_somebody_has_an_account_none_is_made(home: Path) -> None:
    make_user("alice")
    call_command("demo_accounts", verbosity=0)
    assert User.objects.count() == 1
    assert list(home.iterdir()) == []


def test_passwords_differ_between_installations(home: Path) -> None:
    first = make(home)
    User.objects.all().delete()
    assert make(home)["patient"]["password"] != first["patient"]["password"]


def test_production_has_none(home: Path, settings: Any) -> None:
    settings.EMBEDDED = False
    with pytest.raises(CommandError, match="createsuperuser"):
        call_command("demo_accounts")
    assert not User.objects.exists()
