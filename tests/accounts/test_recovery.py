"""Nobody removes another's second factor alone."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.audit.models import Action, AuditEvent
from accounts.models import Role, User
from accounts.recovery import services
from accounts.recovery.models import LIFETIME, SecondFactorReset
from tests.factories import make_user
from tests.post import delivered

pytestmark = pytest.mark.django_db
PAGE = "/accounts/second-factor-resets/"
CONFIRM = f"{PAGE}confirm/"


@pytest.fixture
def derm() -> User:
    user = make_user("derm", role=Role.DERMATOLOGIST, second_factor_since=None)
    TOTP.activate(user, generate_totp_secret())
    RecoveryCodes.activate(user)
    user.refresh_from_db()
    return user


@pytest.fixture
def ada() -> Client:
    return browser_of(make_user("ada", role=Role.ADMIN))


@pytest.fixture
def grace() -> Client:
    return browser_of(make_user("grace", role=Role.ADMIN))


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def ask(client: Client, user: User) -> SecondFactorReset:
    assert client.post(PAGE, {"email": user.email}).status_code == 302
    return SecondFactorReset.objects.get(user=user)


def has_factor(user: User) -> bool:
    user.refresh_from_db()
    stored = Authenticator.objects.filter(user=user).exists()
    assert stored == (user.second_factor_since is not None)
    return stored


def mailed_path() -> str:
    found = re.search(r"http://[^/]+(/accounts/second-factor-reset/\S+)", str(delivered()[-1].body))
    assert found is not None
    return found[1]


def test_asking_removes_nothing_and_who_asked_cannot_confirm(ada: Client, derm: User) -> None:
    reset = ask(ada, derm)
    answer = ada.post(CONFIRM, {"reset": reset.pk}, follow=True)
    assert "Another administrator has to confirm this" in answer.content.decode()
    assert has_factor(derm)


def test_a_second_administrator_confirms_and_everything_opened_with_it_ends(
    ada: Client, grace: Client, derm: User
) -> None:
    hers = browser_of(derm)
    _token, secret = tokens.issue(derm)
    assert hers.get("/dashboard/").status_code == 200
    grace.post(CONFIRM, {"reset": ask(ada, derm).pk})
    assert not has_factor(derm)
    assert hers.get("/dashboard/").status_code == 302
    assert tokens.find(secret) is None
    assert delivered()[-1].to == [derm.email]
    assert "has been removed" in str(delivered()[-1].subject)
    trail = AuditEvent.objects.filter(action=Action.MFA_CHANGED, subject_id=derm.pk)
    assert [event.details for event in trail][-2:] == [
        {"reset": "asked"},
        {"reset": "second_admin"},
    ]


def test_the_person_confirms_by_mail_and_opening_the_link_alone_does_nothing(
    ada: Client, client: Client, derm: User
) -> None:
    ask(ada, derm)
    path = mailed_path()
    assert "Remove your second factor?" in client.get(path).content.decode()
    assert has_factor(derm)
    assert client.post(path).status_code == 200
    assert not has_factor(derm)
    assert client.post(path).status_code == 404


def test_an_old_request_or_a_changed_link_does_nothing(
    ada: Client, grace: Client, client: Client, derm: User
) -> None:
    reset = ask(ada, derm)
    path = mailed_path()
    assert client.post(path[:-2] + "x/").status_code == 404
    SecondFactorReset.objects.update(asked_at=timezone.now() - LIFETIME - timedelta(seconds=1))
    assert client.post(path).status_code == 404
    grace.post(CONFIRM, {"reset": reset.pk})
    assert has_factor(derm)


@pytest.mark.parametrize("change", [{"role": Role.PATIENT}, {"is_active": False}])
def test_the_request_of_somebody_who_is_no_administrator_any_more_is_over(
    ada: Client, grace: Client, client: Client, derm: User, change: dict[str, object]
) -> None:
    reset = ask(ada, derm)
    path = mailed_path()
    User.objects.filter(email="ada@example.org").update(**change)
    answer = grace.post(CONFIRM, {"reset": reset.pk}, follow=True)
    assert "This request is done or too old" in answer.content.decode()
    assert client.post(path).status_code == 404
    assert has_factor(derm)


def test_nobody_asks_for_themselves_and_strangers_learn_nothing(ada: Client, derm: User) -> None:
    for email in ("ada@example.org", "nobody@example.org"):
        answer = ada.post(PAGE, {"email": email})
        assert answer.status_code == 422
        assert "has a second factor" in answer.content.decode()
    assert browser_of(make_user("alice")).get(PAGE).status_code == 404
    assert browser_of(derm).post(PAGE, {"email": "ada@example.org"}).status_code == 404
    assert not SecondFactorReset.objects.exists()
    assert delivered() == []


def test_who_is_late_confirms_nothing(ada: Client, derm: User) -> None:
    reset = ask(ada, derm)
    late = SecondFactorReset.objects.get(pk=reset.pk)
    grace, henry = (make_user(name, role=Role.ADMIN) for name in ("grace", "henry"))
    services.confirm(reset_id=reset.pk, by=grace)
    with pytest.raises(services.NotOpenError):
        services._carry_out(late, by=henry, how="second_admin")
    reset.refresh_from_db()
    assert reset.done_by == grace


def test_the_database_itself_wants_two(ada: Client, derm: User) -> None:
    reset = ask(ada, derm)
    with pytest.raises(IntegrityError), transaction.atomic():
        SecondFactorReset.objects.update(done_by=reset.asked_by)
    with pytest.raises(IntegrityError), transaction.atomic():
        SecondFactorReset.objects.create(user=derm, asked_by=derm)
