"""Two administrators who remove each other at the same moment: one of them stays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from accounts import people
from accounts.models import Role, User
from accounts.people import LastAdminError, change_role, set_active
from analyses.erasure import erase_account
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)
WAITS = 2  # s, no longer where one has to wait for the other before it can look

Act = Callable[[User, User], None]


def demote(one: User, other: User) -> None:
    change_role(other, Role.PATIENT, by=one)


def close(one: User, other: User) -> None:
    set_active(other, active=False, by=one)


def leave(one: User, other: User) -> None:
    del other
    erase_account(one)


@pytest.fixture
def _side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both look for another administrator before either changes anything, if they can."""
    look = people.require_another_admin
    both_here = threading.Barrier(2)

    def look_then_wait(user: User) -> None:
        look(user)
        try:
            both_here.wait(WAITS)
        except threading.BrokenBarrierError:
            return

    monkeypatch.setattr(people, "require_another_admin", look_then_wait)


@pytest.mark.usefixtures("_side_by_side")
@pytest.mark.parametrize("act", [demote, close, leave])
def test_one_of_two_stays(act: Act) -> None:
    ada, bob = make_user("ada", role=Role.ADMIN), make_user("bob", role=Role.ADMIN)

    def one(pair: tuple[User, User]) -> str:
        try:
            act(*pair)
        except LastAdminError:
            return "refused"
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(one, [(ada, bob), (bob, ada)]))
    assert said == ["done", "refused"]
    assert User.objects.filter(role=Role.ADMIN, is_active=True).count() == 1
