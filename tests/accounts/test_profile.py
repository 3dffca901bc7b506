"""The profile: name, language, tokens, and nothing of anybody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from accounts import tokens, views
from accounts.audit.models import Action, AuditEvent
from accounts.models import Role
from tests.factories import PASSWORD, make_user

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db
PROFILE = "/accounts/profile/"


def test_a_stranger_is_asked_to_sign_in(client: Client) -> None:
    answer = client.get(PROFILE)
    assert answer.headers["Location"] == f"/accounts/login/?next={PROFILE}"


def test_name_and_language_are_saved_and_the_pages_follow(client: Client) -> None:
    alice = make_user("alice")
    client.force_login(alice)
    answer = client.post(PROFILE, {"name": "Alice Roca", "language": "es"})
    assert answer.status_code == 302
    alice.refresh_from_db()
    assert (alice.name, alice.language) == ("Alice Roca", "es")
    assert '<html lang="es">' in client.get(PROFILE).content.decode()


def test_role_address_and_rights_cannot_be_posted(client: Client) -> None:
    alice = make_user("alice")
    client.force_login(alice)
    more = {"role": "admin", "email": "root@example.org", "is_superuser": "on"}
    client.post(PROFILE, {"name": "Alice", "language": "", **more})
    alice.refresh_from_db()
    assert alice.role == Role.PATIENT
    assert alice.email == "alice@example.org"
    assert not alice.is_superuser


def test_an_unknown_language_is_refused(client: Client) -> None:
    client.force_login(make_user("alice"))
    answer = client.post(PROFILE, {"name": "Alice", "language": "xx"})
    assert "language" in answer.context["form"].errors
    assert "<title>Error:" in answer.content.decode()


def test_a_token_is_listed_and_revoked(client: Client) -> None:
    alice = make_user("alice")
    token, secret = tokens.issue(alice)
    client.force_login(alice)
    page = client.get(PROFILE)
    revoke = f"/accounts/tokens/{token.pk}/revoke/"
    assert revoke in page.content.decode()
    assert page.headers["Cache-Control"].find("no-store") >= 0
    assert client.get(revoke).status_code == 405
    assert tokens.find(secret) is not None
    client.post(revoke)
    assert tokens.find(secret) is None
    assert revoke not in client.get(PROFILE).content.decode()


def test_anothers_token_does_not_exist(client: Client) -> None:
    token, secret = tokens.issue(make_user("alice"))
    client.force_login(make_user("bob"))
    assert client.post(f"/accounts/tokens/{token.pk}/revoke/").status_code == 404
    assert tokens.find(secret) is not None


def test_a_name_of_markup_is_shown_as_text(client: Client) -> None:
    client.force_login(make_user("alice"))
    client.post(PROFILE, {"name": "<img src=x onerror=alert(1)>", "language": ""})
    assert "<img src=x" not in client.get(PROFILE).content.decode()


def test_a_name_is_changed_so_often_an_hour(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = make_user("alice")
    monkeypatch.setitem(views.RATES, "rename", "2/h/user")
    client.force_login(alice)
    for name in ("One", "Two", "Three"):
        answer = client.post("/accounts/profile/", {"name": name, "language": ""})
    assert "You changed your name several times" in answer.content.decode()
    # What is no line in the trail is saved.
    client.post("/accounts/profile/", {"name": "Two", "language": "es"})
    alice.refresh_from_db()
    assert (alice.name, alice.language) == ("Two", "es")
    assert AuditEvent.objects.filter(action=Action.PROFILE_CHANGED).count() == 2


def test_a_wrong_present_password_stands_in_the_trail(client: Client) -> None:
    alice = make_user("alice", password=PASSWORD)
    client.force_login(alice)
    new = "a wholly new password"
    form = {"oldpassword": "wrong", "password1": new, "password2": new}
    client.post("/accounts/password/change/", form)
    assert AuditEvent.objects.get(action=Action.SIGN_IN_FAILED).subject_id == alice.pk
    client.post("/accounts/password/change/", form | {"oldpassword": PASSWORD})
    alice.refresh_from_db()
    assert alice.check_password(new)
    assert AuditEvent.objects.filter(action=Action.SIGN_IN_FAILED).count() == 1
