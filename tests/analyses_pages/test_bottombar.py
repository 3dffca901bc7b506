"""The bar at the bottom of a phone says where one is, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role
from tests.analyses_pages.conftest import Open
from tests.analyses_pages.markup import Document, Element
from tests.factories import make_user

CSS = Path(__file__).resolve().parents[2] / "static" / "css" / "layout.css"
PLACES = ("analyses:dashboard", "analyses:upload", "analyses:list", "analyses:lesions")
ELSEWHERE = ("accounts:profile", "analyses:privacy", "accounts:sharing", "analyses:model")


def links(document: Document) -> list[Element]:
    found = [a for a in document.all("a") if "bottombar__link" in a.attributes.get("class", "")]
    assert found
    return found


def current(document: Document) -> list[str]:
    marked = [a for a in links(document) if "aria-current" in a.attributes]
    assert all(a.attributes["aria-current"] == "page" for a in marked)
    return [a.attributes["href"] for a in marked]


@pytest.mark.parametrize("name", PLACES)
def test_a_place_is_marked_on_its_own_page_alone(see: Open, name: str) -> None:
    assert current(see(reverse(name))) == [reverse(name)]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_elsewhere_nothing_is_marked(see: Open, name: str) -> None:
    assert current(see(reverse(name))) == []


@pytest.mark.parametrize("role", [Role.DERMATOLOGIST, Role.ADMIN])
def test_the_others_bars_are_marked_alike(db: None, role: str) -> None:
    client = Client()
    client.force_login(make_user(role=role))
    page = Document(client.get(reverse("analyses:dashboard")).content.decode())
    assert current(page) == [reverse("analyses:dashboard")]


def test_the_action_among_the_places_does_not_look_like_the_place_where_one_is() -> None:
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", CSS.read_text())
    marks = [sel for sel, _body in rules if ".bottombar__link[aria-current]" in sel]
    assert marks
    assert not [sel for sel in marks if "--action" in sel]
    action = [(sel, body) for sel, body in rules if ".bottombar__link--action" in sel]
    # Of its own: the icon alone is filled. The word beside it keeps the colour of every other one.
    assert action
    assert all(sel.strip().endswith(".icon") for sel, _body in action)
