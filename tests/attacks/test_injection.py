"""What people type is text: on every page, in every table, in every archive."""

from __future__ import annotations

import csv
import io
import re
import zipfile

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from analyses import export, reviews
from analyses.models import Lesion
from tests.cases import OPINION, make_case
from tests.factories import make_analysis, make_lesion, make_upload, make_user
from tests.security.access_table import rows
from tests.security.routes import address, routes
from tests.security.world import World, make_world

pytestmark = pytest.mark.django_db
MARKUP = "\"'><svg/onload=alert(1)>{{7*7}}<!--"
RAW = ("<svg/onload", "onload=alert(1)>", "49<!--")
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1", "=cmd|' /C calc'!A0", " =1+1")
STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def poisoned() -> World:
    """Put markup into every field that people can fill."""
    world = make_world()
    User.objects.update(name=MARKUP)
    Lesion.objects.update(name=MARKUP[:80])
    return world


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.usefixtures("image_store")
@pytest.mark.parametrize("who", ["alice", "bob", "root"])
def test_markup_in_names_is_text_on_every_page(who: str) -> None:
    world = poisoned()
    client = signed_in(getattr(world, who).owner)
    things = {row.route: row.thing for row in rows() if row.thing}
    seen, raw = 0, []
    ids = (world.alice if who == "bob" else getattr(world, who)).ids()
    for route in routes():
        answer = client.get(address(route, things.get(route) or "analysis", ids))
        if answer.streaming or not answer["Content-Type"].startswith("text/html"):
            continue
        text = answer.content.decode()
        seen += "&lt;svg/onload" in text
        raw += [answer.request["PATH_INFO"] for word in RAW if word in text]
    assert raw == []
    assert seen > 0


def test_markup_in_a_review_in_a_file_name_and_in_a_query_is_text(image_store: object) -> None:
    case = make_case()
    bob, alice = signed_in(case.bob), signed_in(case.alice)
    path = f"/analyses/{case.analysis.pk}/review/"
    bob.post(path, OPINION | {"note": MARKUP})
    pages = [
        alice.get(f"/analyses/{case.analysis.pk}/"),
        bob.get(f"/analyses/{case.analysis.pk}/"),
        alice.post(
            "/analyses/new/",
            {"image": make_upload(b"x", name=f"{MARKUP}.jpg"), "image_type": MARKUP},
        ),
        alice.get("/analyses/", {"show": MARKUP, "page": MARKUP, "density": MARKUP}),
        alice.get("/analyses/new/", {"lesion": MARKUP, "hold": MARKUP}),
        Client().get("/accounts/login/", {"next": f"/{MARKUP}"}),
        Client().post("/accounts/login/", {"login": MARKUP, "password": "x"}),
        Client().post("/accounts/signup/", {"email": MARKUP, "password1": MARKUP}),
        Client().get(f"/no/{MARKUP}"),
    ]
    shown = [200, 200, 422, 200, 200, 200, 200, 200, 404]
    assert [page.status_code for page in pages] == shown
    texts = [page.content.decode() for page in pages]
    for page, text in zip(pages, texts, strict=True):
        assert not [word for word in RAW if word in text], page.request["PATH_INFO"]
    # The list, the empty form and the page of nothing take up nothing of it; all others repeat it.
    said = ["&lt;svg/onload" in text for text in texts]
    assert said == [True, True, True, False, False, True, True, True, False]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_in_a_name_is_text_in_every_table(name: str, image_store: object) -> None:
    alice = make_user()
    lesion = make_lesion(alice, name)
    make_analysis(alice, lesion=lesion)
    client = APIClient()
    client.force_authenticate(alice)
    answer = client.get("/api/v1/analyses/export.csv")
    table = b"".join(answer.streaming_content).decode()
    assert_no_formula(table, name)


def test_no_table_of_the_archive_holds_a_formula(image_store: object) -> None:
    case = make_case()
    alice = case.alice
    User.objects.update(name="=1+1")
    for name in FORMULAS:
        make_analysis(alice, lesion=make_lesion(alice, name))
    reviews.write(analysis_id=case.analysis.pk, author=case.bob, **OPINION | {"note": "=1+1"})
    client = signed_in(alice)
    [export] = [f"/{route}" for route in routes() if "export" in route and "api" not in route]
    answer = client.post(export)
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(b"".join(answer))) as archive:
        tables = [name for name in archive.namelist() if name.endswith(".csv")]
        wordy = {"access.csv", "analyses.csv", "answers.csv", "lesions.csv"}
        assert wordy <= set(tables)
        for table in tables:
            text = archive.read(table).decode("utf-8-sig")
            # The others' lines, if any, need not hold anybody's own words.
            assert_no_formula(text, "=1+1" if table in wordy else "")
        for name in archive.namelist():
            assert not name.startswith("/")
            assert ".." not in name


def assert_no_formula(table: str, name: str) -> None:
    cells = [cell for line in csv.reader(io.StringIO(table, newline="")) for cell in line]
    assert any(name.strip() in cell for cell in cells)
    for cell in cells:
        number = cell.lstrip("-").replace(".", "", 1).isdecimal()
        assert number or not cell.lstrip(" ").startswith(STARTS), cell


@pytest.mark.parametrize(
    "name", ["a;=1+1", "a|@SUM(A1)", 'a;"=1+1"', "a; -1", "a,+1", "\uff1d1+1", "a\u00a0;=1"]
)
def test_a_formula_behind_another_countrys_separator_is_text_too(name: str) -> None:
    """A spreadsheet in Spanish or Catalan ends a cell at the semicolon, not at the comma."""
    kept = export.escaped(name)
    assert kept.replace("'", "") == name
    for cell in re.split(r"[;,|\t]", kept):
        assert not cell.strip(' \u00a0"').startswith((*STARTS, "\uff1d")), kept


@pytest.mark.parametrize("name", ["left arm, 2-3 mm", "a-b", "e=mc2", "a; b", "2026-11-21", ""])
def test_plain_words_stay_as_they_are(name: str) -> None:
    assert export.escaped(name) == name


def test_a_name_with_a_line_break_stays_in_its_cell_and_one_with_a_zero_is_refused(
    image_store: object,
) -> None:
    alice = make_user()
    client = APIClient()
    client.force_authenticate(alice)
    kept, refused = ["a\r\nb", "\u202eevil"], ["a\x00b", "x" * 10_000]
    for name in kept + refused:
        answer = client.post("/api/v1/lesions/", {"name": name}, format="json")
        assert answer.status_code == (201 if name in kept else 400)
    lesions = list(Lesion.objects.order_by("created_at"))
    assert [lesion.name for lesion in lesions] == kept
    for lesion in lesions:
        make_analysis(alice, lesion=lesion)
    table = b"".join(client.get("/api/v1/analyses/export.csv").streaming_content).decode()
    header, *lines = csv.reader(io.StringIO(table, newline=""))
    assert {len(line) for line in lines} == {len(header)}
    at = header.index("lesion")
    assert [line[at].replace("'", "") for line in lines] == kept
