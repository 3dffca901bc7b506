"""Sign-up: patients only, with consent, and no word about who has an account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from allauth.account.models import EmailAddress
from django.urls import reverse

from accounts import consent, invitations
from accounts.audit.models import Action, AuditEvent
from accounts.consent import HEALTH_DATA_VERSION
from accounts.models import Consent, Role, User
from tests.factories import make_user
from tests.post import delivered, path_of

if TYPE_CHECKING:
    from django.test import Client
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer
    from pytest_django.fixtures import SettingsWrapper

pytestmark = pytest.mark.django_db
SIGNUP = "/accounts/signup/"
PASSWORD = "seven horses in the rain"
FILLED = {"email": "alice@example.org", "password1": PASSWORD, "health_data": "on"}


def what_a_stranger_sees(answer: Answer) -> tuple[object, ...]:
    return answer.status_code, answer.content, answer.headers.get("Location")


def test_a_patient_signs_up_and_is_signed_in(client: Client) -> None:
    answer = client.post(SIGNUP, FILLED)
    assert answer.status_code == 302
    assert answer.headers["Location"] == reverse("analyses:dashboard")
    user = User.objects.get(email="alice@example.org")
    assert user.role == Role.PATIENT
    assert client.session["_auth_user_id"] == str(user.pk)


def test_the_consent_is_kept_with_its_wording(client: Client) -> None:
    client.post(SIGNUP, FILLED)
    consent = Consent.objects.get(user__email="alice@example.org")
    assert consent.kind == Consent.Kind.HEALTH_DATA
    assert consent.wording_version == HEALTH_DATA_VERSION
    assert consent.withdrawn_at is None


def test_without_consent_there_is_no_account(client: Client) -> None:
    answer = client.post(SIGNUP, {**FILLED, "health_data": ""})
    assert answer.status_code == 200
    assert "health_data" in answer.context["form"].errors
    assert "<title>Error:" in answer.content.decode()
    assert not User.objects.exists()


def test_the_consent_is_not_ticked_beforehand(client: Client) -> None:
    page = client.get(SIGNUP).content.decode()
    (box,) = [tag for tag in page.split("<") if 'name="health_data"' in tag]
    assert 'type="checkbox"' in box
    assert "checked" not in box


@pytest.mark.parametrize("role", ["admin", "dermatologist"])
def test_a_posted_role_changes_nothing(client: Client, role: str) -> None:
    more = {"role": role, "is_staff": "on", "is_superuser": "on", "is_active": "on"}
    client.post(SIGNUP, {**FILLED, **more})
    user = User.objects.get()
    assert user.role == Role.PATIENT
    assert not user.is_staff
    assert not user.is_superuser


@pytest.mark.parametrize("password", ["short", "password1234", "alice@example.org"])
def test_a_weak_password_is_refused(client: Client, password: str) -> None:
    answer = client.post(SIGNUP, {**FILLED, "password1": password})
    assert "password1" in answer.context["form"].errors
    assert not User.objects.exists()


def test_the_password_is_stored_with_argon2(client: Client) -> None:
    client.post(SIGNUP, FILLED)
    assert User.objects.get().password.startswith("argon2")


@pytest.mark.parametrize("verification", ["optional", "mandatory"])
def test_a_taken_address_is_answered_like_a_free_one(
    client: Client, verification: str, settings: SettingsWrapper
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = verification
    make_user("bob")
    free = what_a_stranger_sees(client.post(SIGNUP, FILLED))
    client.logout()
    taken = what_a_stranger_sees(client.post(SIGNUP, {**FILLED, "email": "BOB@example.org"}))
    assert taken == free
    assert User.objects.count() == 2
    told = [message for message in delivered() if message.to == ["bob@example.org"]]
    assert len(told) == 1
    assert "already" in told[0].body


@pytest.mark.parametrize("verification", ["optional", "mandatory"])
def test_a_taken_address_leaves_nothing_but_a_mail(
    client: Client, settings: SettingsWrapper, verification: str
) -> None:
    """What a new account would have written takes its time, and is not kept."""
    settings.ACCOUNT_EMAIL_VERIFICATION = verification
    make_user("alice")
    kept = (User, Consent, EmailAddress, AuditEvent)
    before = [model.objects.count() for model in kept]
    client.post(SIGNUP, FILLED)
    assert [model.objects.count() for model in kept] == before
    assert [message.to for message in delivered()] == [["alice@example.org"]]


def test_nobody_is_signed_in_to_a_taken_account(client: Client) -> None:
    bob = make_user("bob")
    before = bob.password
    client.post(SIGNUP, {**FILLED, "email": bob.email})
    assert "_auth_user_id" not in client.session
    bob.refresh_from_db()
    assert bob.password == before


def test_production_waits_for_the_address_to_be_confirmed(
    client: Client, settings: SettingsWrapper
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    answer = client.post(SIGNUP, FILLED)
    assert answer.headers["Location"] == reverse("account_email_verification_sent")
    assert "_auth_user_id" not in client.session
    link = next(word for word in delivered()[0].body.split() if "/confirm-email/" in word)
    path = path_of(link)
    assert "alice@example.org" in client.get(path).content.decode()
    client.post(path)
    client.logout()
    client.post("/accounts/login/", {"login": "alice@example.org", "password": PASSWORD})
    assert "_auth_user_id" in client.session


def test_what_a_stranger_agreed_to_with_anothers_address_is_asked_anew(client: Client) -> None:
    """Whoever sets a new password by the mail to an address never confirmed may be another."""
    lurker = make_user("alice", password=PASSWORD, verified=False)
    known = make_user("bob", password=PASSWORD)
    for person in (lurker, known):
        link = invitations._path(person)
        page = client.get(link, follow=True)
        new = "a wholly new password"
        client.post(page.request["PATH_INFO"], {"password1": new, "password2": new})
        person.refresh_from_db()
        assert person.check_password(new)
    assert consent.standing(lurker) is consent.Standing.WITHDRAWN
    assert consent.has_consented(known)
    event = AuditEvent.objects.get(action=Action.CONSENT_WITHDRAWN)
    assert (event.subject_id, event.actor_id) == (lurker.pk, None)
