"""Accounts that are made and changed at the command line leave the trace of the pages."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import pytest
from allauth.account.models import EmailAddress
from django.core.management import CommandError, call_command

from accounts import tokens
from accounts.audit.models import Action, AuditEvent
from accounts.models import Role, User
from tests.factories import PASSWORD, make_user

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db
NEW = "a wholly new password"


def traces(action: Action) -> list[tuple[object, object]]:
    found = AuditEvent.objects.filter(action=action)
    return list(found.values_list("actor_id", "subject_id"))


def test_the_first_administrator_has_a_verified_address_and_stands_in_the_trail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", NEW)
    call_command("createsuperuser", "--noinput", "--email", "Root@Example.org")
    root = User.objects.get()
    assert (root.email, root.role, root.check_password(NEW)) == (
        "root@example.org",
        Role.ADMIN,
        True,
    )
    assert EmailAddress.objects.get(user=root, primary=True).verified
    assert traces(Action.ACCOUNT_CREATED) == [(None, root.pk)]


def test_a_password_set_at_the_command_line_ends_what_was_open(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = make_user("alice", password=PASSWORD)
    _token, secret = tokens.issue(alice)
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert client.get("/accounts/profile/").status_code == 200
    monkeypatch.setattr(getpass, "getpass", lambda **_asked: NEW)
    call_command("changepassword", alice.email)
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    assert tokens.find(secret) is None
    assert client.get("/accounts/profile/").status_code == 302
    assert traces(Action.PASSWORD_CHANGED) == [(None, alice.pk)]


def test_a_change_that_was_not_made_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = make_user("alice", password=PASSWORD)
    monkeypatch.setattr(getpass, "getpass", lambda **_asked: "short")
    with pytest.raises(CommandError, match="Aborting password change"):
        call_command("changepassword", alice.email)
    with pytest.raises(CommandError, match="does not exist"):
        call_command("changepassword", "nobody@example.org")
    assert traces(Action.PASSWORD_CHANGED) == []
