"""Role × every route × own, shared and foreign objects, against the table in `access_table`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.security.access_table import OBJECT_CELLS, Row, asks_again, rows
from tests.security.routes import address, routes
from tests.security.world import Belongings, make_world

if TYPE_CHECKING:
    from django.http import HttpResponse

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
OF_FRAMEWORKS = ("admin/", "accounts/", "i18n/")


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    known, listed = set(routes()), {row.route for row in rows()}
    assert known - listed == set(), "say in tests/security/access_table.py who may open these"
    assert listed - known == set(), "these are no routes any more"


def test_no_row_stands_twice() -> None:
    twice = [key for key, n in Counter((r.method, r.route) for r in rows()).items() if n > 1]
    assert twice == []


def test_by_the_table_nobody_reaches_what_is_anothers() -> None:
    foreign = ("patient, foreign", "dermatologist, foreign", "admin, foreign")
    for row in rows():
        if not row.thing or row.route.startswith("admin/"):
            continue
        for cell in foreign:
            assert row.expected[cell] == 404, (row, cell)
        assert row.expected["anonymous"] in {302, 401}, row


@pytest.mark.django_db
@pytest.mark.usefixtures("image_store")
@pytest.mark.timeout(600)
def test_every_cell_answers_as_the_table_says() -> None:
    cells = make_world().cells()
    assert set(cells) == set(OBJECT_CELLS)
    clients = {name: _client(user) for name, (user, _things) in cells.items()}
    wrong = {}
    for row in rows():
        for cell, expected in row.expected.items():
            found = _status(clients[cell], row, cells[cell][1])
            if found != expected:
                wrong[f"{row.method} /{row.route} for {cell}"] = f"{found}, not {expected}"
    assert wrong == {}


@pytest.mark.django_db
@pytest.mark.usefixtures("image_store")
@pytest.mark.timeout(600)
def test_what_matters_asks_again_who_is_there_and_nothing_else_does() -> None:
    """An open browser's session of this morning: each person has a password, and gave none since.

    Whom a page is not for, it may ask first or turn away at once.
    """
    world = make_world()
    world.give_passwords()
    asking, spared, expected = set(), {}, asks_again()
    for cell, (user, things) in world.cells().items():
        client = _client(user)
        for row in rows():
            if cell not in row.expected or row.route.endswith("reauthenticate/"):
                continue
            cache.clear()  # no answer may be one of a throttle
            what = row.method, row.route
            if _asks_again(_answer(client, row, things)):
                asking.add(what)
            elif what in expected and _is_for(row, cell):
                spared[f"{row.method} /{row.route}"] = cell
    assert spared == {}
    assert asking == expected


@pytest.mark.django_db
@pytest.mark.usefixtures("image_store")
def test_what_is_not_shared_any_more_or_not_yet_is_as_foreign_as_anything() -> None:
    clinical = [row for row in rows() if row.thing in {"analysis", "lesion"}]
    reached = {}
    for cell, (user, things) in make_world().out_of_reach().items():
        client = _client(user)
        for row in clinical:
            found = _status(client, row, things)
            if found != row.expected["dermatologist, foreign"]:
                reached[f"{row.method} /{row.route} for {cell}"] = found
    assert len(clinical) > 15
    assert reached == {}


@pytest.mark.django_db
@pytest.mark.usefixtures("image_store")
@pytest.mark.timeout(600)
def test_a_method_without_a_row_is_not_allowed() -> None:
    """Each GET and POST has a row, and other methods do nothing that the address' rows do not say.

    The frameworks' own pages take PUT for POST, and the administration takes whatever it is asked.
    """
    by_route: dict[str, list[Row]] = {}
    for row in rows():
        by_route.setdefault(row.route, []).append(row)
    unlisted = {}
    cells = make_world().cells()
    for cell in ("patient, own", "dermatologist, own", "admin, own"):
        user, things = cells[cell]
        client = _client(user)
        for route, listed in by_route.items():
            for method in sorted(METHODS - {row.method for row in listed}):
                refused = {404, 405}
                if method in {"PUT", "PATCH", "DELETE"} and route.startswith(OF_FRAMEWORKS):
                    refused |= {row.expected[cell] for row in listed}
                cache.clear()  # no answer may be one of a throttle
                found = _status(client, Row(method, route, listed[0].thing, {}), things)
                if found not in refused:
                    unlisted[f"{method} /{route} for {cell}"] = found
    assert unlisted == {}, "say in tests/security/access_table.py who may do this"


def _is_for(row: Row, cell: str) -> bool:
    """Tell whether the page is for this person; the administration sends others to its sign-in."""
    ours = cell.startswith("admin") if row.route.startswith("admin/") else cell != "anonymous"
    return ours and row.expected[cell] not in {403, 404}


def _asks_again(answer: HttpResponse) -> bool:
    """Tell whether somebody signed in is sent to say who they are; a file is asked for by GET."""
    # A POST that comes too late is sent to these two pages first, which ask.
    pages = reverse("analyses:export_record"), reverse("account_set_password")
    asking = reverse("account_reauthenticate"), *pages
    return answer.headers.get("Location", "").startswith(asking)


def _client(user: object) -> Client:
    client = Client(raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    return client


def _status(client: Client, row: Row, things: Belongings) -> int:
    return _answer(client, row, things).status_code


def _answer(client: Client, row: Row, things: Belongings) -> HttpResponse:
    """Ask in a transaction that is rolled back, so that no cell changes the next."""
    by_json = row.route.startswith("api/")
    cookies = client.cookies.copy()
    with transaction.atomic():
        ids = things.ids()
        if row.thing == "passkey":
            ids["passkey"] = things.add_passkey().pk
        answer = client.generic(
            row.method,
            address(row.route, row.thing, ids),
            b"{}" if by_json and row.method != "GET" else b"",
            content_type=JSON if by_json else FORM,
        )
        transaction.set_rollback(True)
    client.cookies = cookies
    return answer
