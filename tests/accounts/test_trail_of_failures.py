"""Every sign-in that fails and every page that is refused stands in the trail."""

from __future__ import annotations

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

from accounts import failures
from accounts.audit.models import Action, AuditEvent
from accounts.models import Role, User
from tests.factories import PASSWORD, make_user
from tests.otp import code

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"
CODE = "/accounts/second-factor/authenticate/"
AGAIN = "/accounts/second-factor/reauthenticate/"
TOKENS = "/api/v1/tokens/"
WRONG = "wrong password here"
STEP = {"step": "second_factor"}
THROTTLED = {"throttled": True}


def failed(user: User | None) -> list[dict[str, object]]:
    """Return the details of the failures that the trail holds for `user`, oldest first."""
    events = AuditEvent.objects.filter(
        action=Action.SIGN_IN_FAILED, subject_id=user.pk if user else None, actor_id=None
    )
    return list(events.order_by("id").values_list("details", flat=True))


def give_password(client: Client, user: User, password: str = PASSWORD) -> None:
    client.post(LOGIN, {"login": user.email, "password": password})


@pytest.fixture
def secret() -> str:
    return generate_totp_secret()


@pytest.fixture
def alice(secret: str) -> User:
    user = make_user("alice", password=PASSWORD)
    TOTP.activate(user, secret)
    return user


def test_a_wrong_code_at_the_sign_in(client: Client, alice: User) -> None:
    give_password(client, alice)
    client.post(CODE, {"code": "000000"})
    assert failed(alice) == [STEP]


def test_a_code_that_was_used_already(alice: User, secret: str) -> None:
    used = code(secret)
    for _ in range(2):
        client = Client()
        give_password(client, alice)
        client.post(CODE, {"code": used})
    assert failed(alice) == [STEP]


def test_a_wrong_code_before_something_that_matters(
    client: Client, alice: User, secret: str
) -> None:
    give_password(client, alice)
    client.post(CODE, {"code": code(secret)})
    client.post(AGAIN, {"code": "000000"})
    assert failed(alice) == [STEP]


def test_an_answer_that_is_of_no_passkey(client: Client, alice: User) -> None:
    give_password(client, alice)
    for _ in range(6):
        answer = client.post(CODE, {"credential": '{"id": "none of hers"}'})
        assert "<title>Error:" in answer.content.decode()
    assert failed(alice) == [STEP] * 5 + [STEP | THROTTLED]


def test_a_wrong_code_for_a_token(client: Client, alice: User) -> None:
    body = {"email": alice.email, "password": PASSWORD, "otp": "000000"}
    assert client.post(TOKENS, body, content_type="application/json").status_code == 401
    assert failed(alice) == [STEP]


def test_codes_that_come_after_too_many(client: Client, alice: User) -> None:
    give_password(client, alice)
    for n in range(7):
        client.post(CODE, {"code": f"00000{n}"})
    assert failed(alice) == [STEP] * 5 + [STEP | THROTTLED] * 2


def test_a_code_that_is_right_leaves_none(client: Client, alice: User, secret: str) -> None:
    give_password(client, alice)
    client.post(CODE, {"code": code(secret)})
    assert failed(alice) == []


def test_passwords_that_come_after_too_many() -> None:
    bob = make_user("bob", password=PASSWORD)
    for _ in range(9):
        give_password(Client(), bob, WRONG)
    assert failed(bob) == [{}] * 5 + [THROTTLED] * 4


def test_of_an_unknown_address_nothing_is_kept_but_that_it_was_tried() -> None:
    for _ in range(6):
        Client().post(LOGIN, {"login": "nobody@example.org", "password": WRONG})
    assert failed(None) == [{}] * 5 + [THROTTLED]


def test_tries_that_are_not_looked_at_cannot_fill_the_trail(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(failures.RATES, "throttled_noted", "3/m/ip")
    bob = make_user("bob", password=PASSWORD)
    for _ in range(12):
        body = {"email": bob.email, "password": WRONG}
        client.post(TOKENS, body, content_type="application/json")
    assert failed(bob) == [{}] * 5 + [THROTTLED] * 3


@pytest.mark.parametrize("role", [Role.PATIENT, Role.DERMATOLOGIST])
@pytest.mark.parametrize(
    ("page", "name"),
    [("/admin/", "admin:index"), ("/admin/accounts/user/", "admin:accounts_user_changelist")],
)
def test_who_is_no_administrator_and_looks_at_the_admin(
    client: Client, role: str, page: str, name: str
) -> None:
    bob = make_user("bob", role=role)
    client.force_login(bob)
    assert client.get(page).status_code == 302
    event = AuditEvent.objects.get(action=Action.DENIED)
    assert (event.actor_id, event.object_type, event.object_id) == (bob.pk, "page", name)


def test_administrators_and_strangers_are_not_denied_the_admin(client: Client) -> None:
    assert client.get("/admin/").status_code == 302
    client.force_login(make_user("ada", role=Role.ADMIN))
    assert client.get("/admin/").status_code == 200
    assert not AuditEvent.objects.filter(action=Action.DENIED).exists()


def test_an_administrator_who_renames_a_dermatologist(client: Client) -> None:
    ada, bob = make_user("ada", role=Role.ADMIN), make_user("bob", role=Role.DERMATOLOGIST)
    client.force_login(ada)
    page = f"/admin/accounts/user/{bob.pk}/change/"
    form = {"role": bob.role, "is_active": "on"}
    client.post(page, {**form, "name": bob.name})
    assert not AuditEvent.objects.filter(action=Action.PROFILE_CHANGED).exists()
    client.post(page, {**form, "name": "Dr. Somebody Else"})
    bob.refresh_from_db()
    assert bob.name == "Dr. Somebody Else"
    event = AuditEvent.objects.get(action=Action.PROFILE_CHANGED)
    assert (event.actor_id, event.subject_id) == (ada.pk, bob.pk)
    assert event.details == {"what": "name"}, "neither name stands in the trail"


def test_a_person_who_takes_another_name(client: Client) -> None:
    bob = make_user("bob", role=Role.DERMATOLOGIST)
    client.force_login(bob)
    client.post("/accounts/profile/", {"name": bob.name, "language": "es"})
    assert not AuditEvent.objects.filter(action=Action.PROFILE_CHANGED).exists()
    client.post("/accounts/profile/", {"name": "Dr. Robert", "language": "es"})
    event = AuditEvent.objects.get(action=Action.PROFILE_CHANGED)
    assert (event.actor_id, event.subject_id) == (bob.pk, bob.pk)
