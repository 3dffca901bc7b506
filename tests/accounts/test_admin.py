"""The Django admin: accounts only, nothing clinical, for administrators only."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts import tokens
from accounts.audit.models import Action, AuditEvent
from accounts.consent import has_consented
from accounts.models import Role, User
from accounts.people import (
    LastAdminError,
    OwnRoleError,
    TakenError,
    UnconfirmedError,
    change_role,
    invite,
    set_active,
)
from tests.factories import PASSWORD, make_user
from tests.post import delivered, path_of

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
    assert '<link rel="icon"' in index  # or the browser asks for one that is not there
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
    page = client.get(path_of(link), follow=True)
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


@pytest.mark.parametrize(
    "asked",
    [
        "password__startswith=argon2",
        "analyses__isnull=False",
        "lesions__isnull=False",
        "patients__isnull=False",
        "api_tokens__isnull=False",
        "second_factor_since__isnull=True",
        "analyses__result__category=melanoma",
    ],
)
def test_the_address_of_the_list_cannot_ask_for_what_is_not_shown(
    client: Client, ada: User, asked: str
) -> None:
    assert client.get(f"{USERS}?{asked}").status_code == 400


def test_the_list_is_narrowed_by_role_and_by_whether_the_account_is_open(
    client: Client, ada: User
) -> None:
    bob = make_user("bob", role=Role.DERMATOLOGIST)
    page = client.get(f"{USERS}?role__exact=dermatologist&is_active__exact=1").content.decode()
    assert bob.email in page
    assert f">{ada.email}</a>" not in page


def test_nobody_changes_their_own_role(client: Client, ada: User) -> None:
    make_user("bob", role=Role.ADMIN)
    answer = client.post(
        f"{USERS}{ada.pk}/change/",
        {"name": "Renamed", "role": Role.DERMATOLOGIST, "is_active": "on"},
        follow=True,
    )
    assert "Nobody changes their own role" in answer.content.decode()
    before = ada.name
    ada.refresh_from_db()
    assert (ada.role, ada.name) == (Role.ADMIN, before)
    with pytest.raises(OwnRoleError):
        change_role(ada, Role.DERMATOLOGIST, by=ada)


def test_the_admins_own_page_for_passwords_leads_to_ours(client: Client, ada: User) -> None:
    """It would count no tries, write nothing to the trail and leave the tokens alive."""
    for page in ("/admin/password_change/", "/admin/password_change/done/"):
        assert client.get(page)["Location"] == "/accounts/password/change/"
        assert client.post(page, {"old_password": "x"})["Location"] == "/accounts/password/change/"


def test_an_invitation_opens_one_account_once(client: Client, ada: User) -> None:
    for name in ("first", "second"):
        form = {"email": f"{name}@example.org", "name": "", "role": Role.DERMATOLOGIST}
        client.post(f"{USERS}add/", form)
    links = {
        letter.to[0]: next(w for w in str(letter.body).split() if "/password/reset/key/" in w)
        for letter in delivered()
    }
    first, second = (path_of(links[f"{name}@example.org"]) for name in ("first", "second"))
    browser = Client()
    # The key of one in the address of the other.
    start = first[: first.rindex("/", 0, -1) + 1]
    whose, key = first[len(start) :].split("-", 1)[0], second[len(start) :].split("-", 1)[1]
    assert "This link does not work" in browser.get(f"{start}{whose}-{key}").content.decode()
    page = browser.get(first, follow=True)
    new = {"password1": "a wholly new password", "password2": "a wholly new password"}
    browser.post(page.request["PATH_INFO"], new)
    assert User.objects.get(email="first@example.org").has_usable_password()
    assert not User.objects.get(email="second@example.org").has_usable_password()
    assert "This link does not work" in Client().get(first, follow=True).content.decode()


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


@pytest.mark.parametrize("role", [Role.DERMATOLOGIST, Role.ADMIN])
def test_no_role_goes_to_an_address_that_nobody_confirmed(
    client: Client, ada: User, role: Role, settings: Settings
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    lurker = make_user("lurker", verified=False)
    save(client, lurker, role=role)
    lurker.refresh_from_db()
    assert lurker.role == Role.PATIENT
    assert "Nobody has confirmed this address" in client.get(USERS).content.decode()
    with pytest.raises(UnconfirmedError):
        change_role(lurker, role, by=ada)
    EmailAddress.objects.filter(user=lurker).update(verified=True)
    save(client, lurker, role=role)
    lurker.refresh_from_db()
    assert lurker.role == role


def test_an_invitation_takes_over_what_a_stranger_signed_up_with_anothers_address(
    client: Client, ada: User
) -> None:
    lurker = make_user("doctor", password=PASSWORD, verified=False)
    _token, secret = tokens.issue(lurker)
    client.post(f"{USERS}add/", {"email": lurker.email, "name": "Dr. D", "role": "dermatologist"})
    doctor = User.objects.get(pk=lurker.pk)
    assert (doctor.role, doctor.name) == (Role.DERMATOLOGIST, "Dr. D")
    assert not doctor.has_usable_password()
    assert not has_consented(doctor)
    assert EmailAddress.objects.get(user=doctor).verified
    assert tokens.find(secret) is None
    assert delivered()[0].to == [doctor.email]
    made = AuditEvent.objects.filter(action=Action.ACCOUNT_CREATED, subject_id=doctor.pk)
    assert made.get().actor_id == ada.pk
    assert made.get().details["by"] == "invitation, over a sign-up"


@pytest.mark.parametrize("addresses", [0, 2])
def test_an_account_of_no_address_or_of_a_confirmed_one_beside_is_not_taken_over(
    client: Client, ada: User, addresses: int
) -> None:
    known = make_user("doctor", password=PASSWORD, verified=False)
    if addresses:
        EmailAddress.objects.create(user=known, email="other@example.org", verified=True)
    else:
        EmailAddress.objects.filter(user=known).delete()
    with pytest.raises(TakenError):
        invite(email=known.email, role=Role.DERMATOLOGIST, by=ada)


@pytest.mark.parametrize(
    "opened",
    [
        {"verified": True},
        {"last_login": timezone.now()},
        {"role": Role.ADMIN},
        {"is_active": False},
    ],
)
def test_an_account_that_somebody_opened_is_not_taken_over(
    client: Client, ada: User, opened: dict[str, Any]
) -> None:
    known = make_user("doctor", password=PASSWORD, **{"verified": False} | opened)
    answer = client.post(
        f"{USERS}add/", {"email": known.email, "name": "", "role": "dermatologist"}
    )
    assert "There is an account with this address already" in answer.content.decode()
    with pytest.raises(TakenError):
        invite(email=known.email, role=Role.DERMATOLOGIST, by=ada)
    known.refresh_from_db()
    assert known.check_password(PASSWORD)
    assert known.role != Role.DERMATOLOGIST


def test_where_nobody_has_to_confirm_a_role_is_given_at_once(client: Client, ada: User) -> None:
    """Embedded, a mail is a file: to ask for a click in it would be the end of the matter."""
    colleague = make_user("colleague", verified=False, last_login=timezone.now())
    save(client, colleague, role=Role.DERMATOLOGIST)
    colleague.refresh_from_db()
    assert colleague.role == Role.DERMATOLOGIST
