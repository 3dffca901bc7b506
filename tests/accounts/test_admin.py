"""The Django admin: accounts only, nothing clinical, for administrators only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib import admin

from accounts import tokens
from accounts.audit.models import Action, AuditEvent
from accounts.models import Role, User
from accounts.people import LastAdminError, change_role, set_active
from tests.factories import make_user
from tests.post import delivered

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db
USERS = "/admin/accounts/user/"


@pytest.fixture
def ada(client: Client) -> User:
    user = make_user("ada", role=Role.ADMIN)
    client.force_login(user)
    return user


def save(client: Client, user: User, **changes: str) -> object:
    form = {"name": user.name, "role": user.role, "is_active": "on" if user.is_active else ""}
    return client.post(f"{USERS}{user.pk}/change/", {**form, **changes})


def test_nothing_clinical_is_registered() -> None:
    apps = {model._meta.app_label for model in admin.site._registry}
    assert "analyses" not in apps


def test_an_administrator_sees_accounts_and_nothing_else(client: Client, ada: User) -> None:
    index = client.get("/admin/").content.decode()
    assert USERS in index
    for other in ("/admin/auth/", "/admin/account/", "/admin/mfa/", "/admin/analyses/"):
        assert other not in index, other
        assert client.get(other).status_code in {403, 404}, other
    assert client.get("/admin/mfa/authenticator/").status_code == 404


@pytest.mark.parametrize("role", [Role.PATIENT, Role.DERMATOLOGIST])
def test_nobody_else_gets_in(client: Client, role: str) -> None:
    client.force_login(make_user("bob", role=role))
    for page in ("/admin/", USERS, f"{USERS}add/"):
        answer = client.get(page, follow=True)
        assert answer.status_code == 403, page


def test_sign_in_goes_through_the_pages_and_their_throttle(client: Client) -> None:
    answer = client.get("/admin/login/?next=/admin/")
    assert answer.headers["Location"].startswith("/accounts/login/")
    client.post("/admin/login/", {"username": "ada@example.org", "password": "x"})
    assert "_auth_user_id" not in client.session


def test_an_invited_dermatologist_sets_the_password_from_the_mail(
    client: Client, ada: User
) -> None:
    form = {"email": "Derm@Example.org", "name": "Dr. D", "role": Role.DERMATOLOGIST}
    client.post(f"{USERS}add/", form)
    derm = User.objects.get(email="derm@example.org")
    assert derm.role == Role.DERMATOLOGIST
    assert not derm.has_usable_password()
    (message,) = delivered()
    assert message.to == ["derm@example.org"]
    link = next(word for word in message.body.split() if "/password/reset/key/" in word)
    client.logout()
    page = client.get(link.partition("testserver")[2], follow=True)
    new = "a wholly new password"
    client.post(page.request["PATH_INFO"], {"password1": new, "password2": new})
    derm.refresh_from_db()
    assert derm.check_password(new)
    assert AuditEvent.objects.filter(
        action=Action.ACCOUNT_CREATED, actor_id=ada.pk, subject_id=derm.pk
    ).exists()


def test_a_taken_address_is_not_invited_again(client: Client, ada: User) -> None:
    make_user("bob")
    answer = client.post(
        f"{USERS}add/", {"email": "BOB@example.org", "name": "", "role": Role.DERMATOLOGIST}
    )
    assert answer.status_code == 200
    assert User.objects.filter(email__iexact="bob@example.org").count() == 1
    assert delivered() == []


def test_a_changed_role_and_a_closed_account_stand_in_the_trail(client: Client, ada: User) -> None:
    bob = make_user("bob")
    save(client, bob, role=Role.DERMATOLOGIST, is_active="")
    bob.refresh_from_db()
    assert (bob.role, bob.is_active) == (Role.DERMATOLOGIST, False)
    acts = AuditEvent.objects.filter(subject_id=bob.pk, actor_id=ada.pk)
    assert set(acts.values_list("action", flat=True)) == {
        Action.ROLE_CHANGED,
        Action.ACCOUNT_DISABLED,
    }


def test_password_address_and_rights_cannot_be_posted(client: Client, ada: User) -> None:
    bob = make_user("bob")
    before = bob.password
    save(client, bob, password="x", email="eve@example.org", is_superuser="on", is_staff="on")
    bob.refresh_from_db()
    assert (bob.email, bob.password, bob.is_superuser) == ("bob@example.org", before, False)


def test_no_password_hash_is_shown(client: Client, ada: User) -> None:
    bob = make_user("bob", password="seven horses in the rain")
    page = client.get(f"{USERS}{bob.pk}/change/").content.decode()
    assert "argon2" not in page
    assert bob.email in page


def test_an_account_cannot_be_deleted_here(client: Client, ada: User) -> None:
    bob = make_user("bob")
    assert client.post(f"{USERS}{bob.pk}/delete/", {"post": "yes"}).status_code == 403
    client.post(USERS, {"action": "delete_selected", "_selected_action": str(bob.pk)})
    assert User.objects.filter(pk=bob.pk).exists()


@pytest.mark.parametrize("change", [{"role": Role.PATIENT}, {"is_active": ""}])
def test_the_last_administrator_stays(client: Client, ada: User, change: dict[str, str]) -> None:
    make_user("closed", role=Role.ADMIN, is_active=False)
    save(client, ada, **change)
    ada.refresh_from_db()
    assert (ada.role, ada.is_active) == (Role.ADMIN, True)
    with pytest.raises(LastAdminError):
        change_role(ada, Role.PATIENT, by=ada)
    with pytest.raises(LastAdminError):
        set_active(ada, active=False, by=ada)


def test_a_second_administrator_may_be_demoted(client: Client, ada: User) -> None:
    bob = make_user("bob", role=Role.ADMIN)
    _, secret = tokens.issue(bob)
    save(client, bob, role=Role.PATIENT)
    bob.refresh_from_db()
    assert bob.role == Role.PATIENT
    assert tokens.find(secret) is None, "tokens were given under the role before"
