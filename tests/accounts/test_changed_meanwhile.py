"""What is sent slowly arrives at an account that is not what it was when the request began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.test.client import FakePayload
from django.urls import reverse
from redis.exceptions import RedisError

from accounts import people, reset_limits, tokens
from accounts.audit.models import Action, AuditEvent
from accounts.models import ApiToken, Role, User
from analyses import erasure
from analyses.models import Lesion
from tests.factories import PASSWORD, make_lesion, make_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpResponse

pytestmark = pytest.mark.django_db

NEW = "an entirely different horse"
FORM = "application/x-www-form-urlencoded"


class Late(FakePayload):  # type: ignore[misc]  # untyped
    """A body during whose way something else happens."""

    def __init__(self, body: bytes, meanwhile: Callable[[], object]) -> None:
        super().__init__(body)
        self.meanwhile: Callable[[], object] | None = meanwhile

    def read(self, *size: int) -> bytes:
        act, self.meanwhile = self.meanwhile, None
        if act is not None:
            act()
        return bytes(super().read(*size))


def send(
    user: User, path: str, fields: dict[str, str], meanwhile: Callable[[], object]
) -> HttpResponse:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    body = urlencode(fields).encode()
    late: dict[str, Any] = {"wsgi.input": Late(body, meanwhile)}
    return client.generic("POST", path, body, content_type=FORM, **late)


def closing(user: User) -> Callable[[], None]:
    """Return what demotes and closes the account."""
    admin = make_user(role=Role.ADMIN)

    def act() -> None:
        own = User.objects.get(pk=user.pk)
        people.change_role(own, Role.PATIENT, by=admin)
        people.set_active(own, active=False, by=admin)

    return act


PROFILE = {"name": "Somebody", "language": ""}
CHANGE = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}


@pytest.mark.parametrize(
    ("route", "fields"), [("accounts:profile", PROFILE), ("account_change_password", CHANGE)]
)
def test_who_was_demoted_and_closed_stays_so(route: str, fields: dict[str, str]) -> None:
    user = make_user(role=Role.DERMATOLOGIST, password=PASSWORD)

    # 400 where the session, which ended too, cannot be kept any more.
    assert send(user, reverse(route), fields, closing(user)).status_code in {400, 404}

    now = User.objects.get(pk=user.pk)
    assert (now.role, now.is_active) == (Role.PATIENT, False)
    assert now.check_password(PASSWORD)
    assert not AuditEvent.objects.filter(
        action__in=[Action.PROFILE_CHANGED, Action.PASSWORD_CHANGED]
    ).exists()


@pytest.mark.parametrize(
    ("route", "fields"), [("accounts:profile", PROFILE), ("account_change_password", CHANGE)]
)
def test_who_was_erased_does_not_come_back(route: str, fields: dict[str, str]) -> None:
    user = make_user(password=PASSWORD)

    answer = send(user, reverse(route), fields, lambda: erasure.erase_account(user))

    assert answer.status_code == 400, "the session went with the account"
    assert not User.objects.filter(pk=user.pk).exists()


def test_a_password_changed_elsewhere_stays_changed() -> None:
    user = make_user(password=PASSWORD)

    def elsewhere() -> None:
        own = User.objects.get(pk=user.pk)
        own.set_password(NEW)
        own.save(update_fields=["password"])

    send(user, reverse("accounts:profile"), PROFILE, elsewhere)

    now = User.objects.get(pk=user.pk)
    assert now.check_password(NEW)
    assert now.name == "Somebody"


def test_no_save_brings_an_erased_account_back() -> None:
    user = make_user()
    stale = User.objects.get(pk=user.pk)
    User.objects.filter(pk=user.pk).delete()

    with pytest.raises(DatabaseError), transaction.atomic():
        stale.save()

    assert not User.objects.exists()


def test_a_lesion_deleted_meanwhile_does_not_come_back_by_a_patch() -> None:
    owner = make_user()
    lesion = make_lesion(owner)
    _token, secret = tokens.issue(owner)
    body = b'{"name": "Calf"}'

    def forget() -> None:
        erasure.delete_lesion(lesion_id=lesion.pk, by=owner, keep_analyses=True)

    answer = Client().generic(
        "PATCH",
        f"/api/v1/lesions/{lesion.pk}/",
        body,
        content_type="application/json",
        headers={"authorization": f"Bearer {secret}"},
        **{"wsgi.input": Late(body, forget)},
    )

    assert answer.status_code == 404
    assert not Lesion.objects.exists()


def close_and_open(user: User) -> None:
    admin = make_user(role=Role.ADMIN)
    people.set_active(user, active=False, by=admin)


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda user: user.set_password(NEW) or user.save(update_fields=["password"]),
        lambda user: people.change_role(user, Role.DERMATOLOGIST, by=make_user(role=Role.ADMIN)),
        close_and_open,
        lambda user: User.objects.filter(pk=user.pk).delete(),
    ],
    ids=["new password", "new role", "closed", "erased"],
)
def test_no_token_is_given_for_what_holds_no_longer(meanwhile: Callable[[User], object]) -> None:
    user = make_user(password=PASSWORD)
    meanwhile(User.objects.get(pk=user.pk))

    with pytest.raises(tokens.ChangedMeanwhileError):
        tokens.issue(user)

    assert not ApiToken.objects.exists()


def test_the_api_says_no_more_than_that_it_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(password=PASSWORD)

    def too_late(_user: User) -> None:
        raise tokens.ChangedMeanwhileError

    monkeypatch.setattr(tokens, "issue", too_late)
    answer = Client().post(
        "/api/v1/tokens/",
        {"email": user.email, "password": PASSWORD},
        content_type="application/json",
    )
    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_credentials"


def test_a_new_password_ends_tokens_and_leaves_its_trace_whatever_redis_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = make_user(password=PASSWORD)
    _token, secret = tokens.issue(user)

    def away(*_: object) -> None:
        raise RedisError

    monkeypatch.setattr(reset_limits, "forget", away)

    answer = send(user, reverse("account_change_password"), CHANGE, lambda: None)

    assert answer.status_code == 302
    assert User.objects.get(pk=user.pk).check_password(NEW)
    assert tokens.find(secret) is None
    assert AuditEvent.objects.filter(action=Action.PASSWORD_CHANGED).count() == 1
