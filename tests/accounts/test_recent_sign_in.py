"""What matters asks who one is once more, where one signed in a while ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib import admin
from django.test import Client

from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship
from accounts.models import Role, User
from tests.factories import PASSWORD, make_user
from tests.otp import code
from tests.post import delivered

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer

pytestmark = pytest.mark.django_db
TEN_HOURS = 10 * 3600  # s
USERS = "/admin/accounts/user/"
SHARING = "/accounts/sharing/"
EXPORT = "/privacy/export/"


def signed_in(user: User, *, secret: str = "", ago: int = TEN_HOURS) -> Client:
    """Sign in as a person does, then let the time go by."""
    client = Client()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    if secret:
        client.post("/accounts/second-factor/authenticate/", {"code": code(secret)})
    session = client.session
    for record in session[AUTHENTICATION_METHODS_SESSION_KEY]:
        record["at"] -= ago
    session.save()
    assert client.get("/accounts/profile/").status_code == 200
    return client


def asks(answer: Answer) -> bool:
    return answer.headers.get("Location", "").startswith("/accounts/reauthenticate/")


def confirm(client: Client, asked: Answer) -> Answer:
    return client.post(asked["Location"], {"password": PASSWORD})


@pytest.fixture
def secret() -> str:
    return generate_totp_secret()


@pytest.fixture
def ada(secret: str) -> User:
    user = make_user("ada", role=Role.ADMIN, password=PASSWORD, second_factor_since=None)
    TOTP.activate(user, secret)
    return user


@pytest.fixture
def alice() -> User:
    return make_user("alice", password=PASSWORD)


def test_a_role_is_not_given_from_a_session_of_this_morning(
    ada: User, secret: str, alice: User
) -> None:
    client = signed_in(ada, secret=secret)
    page = f"{USERS}{alice.pk}/change/"
    form = {"name": "Alice", "role": Role.ADMIN, "is_active": "on"}
    assert client.get(USERS).status_code == 200, "reading the list is no such act"
    assert asks(client.get(page))
    asked = client.post(page, form)
    assert asks(asked)
    alice.refresh_from_db()
    assert alice.role == Role.PATIENT
    confirm(client, asked)
    alice.refresh_from_db()
    assert alice.role == Role.ADMIN, "what was asked for is done once the password is given"


def test_an_account_is_not_closed_from_a_session_of_this_morning(
    ada: User, secret: str, alice: User
) -> None:
    client = signed_in(ada, secret=secret)
    form = {"name": "Alice", "role": Role.PATIENT, "is_active": ""}
    assert asks(client.post(f"{USERS}{alice.pk}/change/", form))
    alice.refresh_from_db()
    assert alice.is_active


def test_nobody_is_invited_from_a_session_of_this_morning(ada: User, secret: str) -> None:
    client = signed_in(ada, secret=secret)
    form = {"email": "eve@example.org", "name": "", "role": Role.ADMIN}
    assert asks(client.get(f"{USERS}add/"))
    assert asks(client.post(f"{USERS}add/", form))
    assert not User.objects.filter(email="eve@example.org").exists()
    assert delivered() == []


def test_who_has_just_signed_in_is_not_asked(ada: User, secret: str, alice: User) -> None:
    client = signed_in(ada, secret=secret, ago=60)
    form = {"name": "Alice", "role": Role.DERMATOLOGIST, "is_active": "on"}
    client.post(f"{USERS}{alice.pk}/change/", form)
    alice.refresh_from_db()
    assert alice.role == Role.DERMATOLOGIST


def test_no_accounts_are_changed_several_at_once() -> None:
    assert admin.site._registry[User].actions is None


def test_the_record_is_not_exported_from_a_session_of_this_morning(alice: User) -> None:
    client = signed_in(alice)
    exported = AuditEvent.objects.filter(action=Action.EXPORTED)
    assert client.post(EXPORT)["Location"] == EXPORT, "to the page, which asks"
    asked = client.get(EXPORT)
    assert asks(asked)
    assert not exported.exists()
    assert confirm(client, asked)["Location"] == EXPORT
    assert "text/html" in client.get(EXPORT)["Content-Type"]
    assert not exported.exists()
    assert client.post(EXPORT)["Content-Type"] == "application/zip"
    assert exported.count() == 1


def test_nothing_is_shared_from_a_session_of_this_morning(alice: User) -> None:
    bob = make_user("bob", role=Role.DERMATOLOGIST)
    client = signed_in(alice)
    assert client.get(SHARING).status_code == 200, "whom one shares with is there to be read"
    wish = {"reference": bob.email, "scope": "everything", "consent": "on"}
    asked = client.post(SHARING, wish)
    assert asks(asked)
    assert not CareRelationship.objects.exists()
    assert confirm(client, asked)["Location"] == SHARING
    assert CareRelationship.objects.get().patient == alice


def test_a_wrong_password_does_not_let_the_act_through(alice: User) -> None:
    bob = make_user("bob", role=Role.DERMATOLOGIST)
    client = signed_in(alice)
    asked = client.post(SHARING, {"reference": bob.email, "scope": "everything", "consent": "on"})
    client.post(asked["Location"], {"password": "wrong password here"})
    assert not CareRelationship.objects.exists()


def test_a_sharing_is_ended_without_being_asked(alice: User) -> None:
    """To take a permission back must be quick."""
    bob = make_user("bob", role=Role.DERMATOLOGIST)
    fresh = signed_in(alice, ago=0)
    fresh.post(SHARING, {"reference": bob.email, "scope": "everything", "consent": "on"})
    relationship = CareRelationship.objects.get()
    signed_in(alice).post(f"{SHARING}{relationship.pk}/end/")
    relationship.refresh_from_db()
    assert relationship.revoked_at is not None
