"""What holds for every page in every state."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.analyses_pages.markup import Document
from tests.factories import make_user
from tests.states import seed

if TYPE_CHECKING:
    from pytest_django import DjangoDbBlocker

FORBIDDEN = {
    "en": re.compile(
        r"\b(safe|all clear|harmless|diagnos\w+|certain|certainly|healthy)\b", re.IGNORECASE
    ),
    "es": re.compile(
        r"\b(segur[oa]s?|inofensiv\w+|diagn[oó]stic\w+|san[oa]s?|certeza)\b", re.IGNORECASE
    ),
    "ca": re.compile(r"\b(segur[a]?s?|inofensi\w+|diagn[oò]stic\w*|certesa)\b", re.IGNORECASE),
}
PERCENT = re.compile(r"\d\s?%")
UNLABELLED = {"hidden", "submit", "button"}
LANGUAGES = ("en", "es", "ca")


def everything(alice: User) -> dict[str, str]:
    """Return the address of every page of Alice's, by name."""
    states = seed(alice)
    lesion = states["result-melanoma"].lesion
    assert lesion is not None
    return {
        "home": reverse("home"),
        "dashboard": reverse("analyses:dashboard"),
        "upload": reverse("analyses:upload"),
        "history": reverse("analyses:list"),
        "compact": reverse("analyses:list") + "?density=compact",
        "filtered": reverse("analyses:list") + "?show=doctor",
        "lesions": reverse("analyses:lesions"),
        "lesion": reverse("analyses:lesion", args=[lesion.pk]),
        "model": reverse("analyses:model"),
        "styleguide": reverse("styleguide"),
    } | {name: reverse("analyses:detail", args=[a.pk]) for name, a in states.items()}


@pytest.fixture(scope="module")
def pages(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> dict[tuple[str, str], Document]:
    """Every page of Alice's in every language, by name and language; drawn once."""
    found = {}
    with django_db_blocker.unblock(), transaction.atomic():
        alice = make_user("alice")
        browser = Client()
        browser.force_login(alice)
        for name in ("analyses:dashboard", "analyses:upload", "analyses:list", "analyses:lesions"):
            found[f"empty-{name}", "en"] = browser.get(reverse(name))
        for name, path in everything(alice).items():
            for language in LANGUAGES:
                found[name, language] = browser.get(path, headers={"accept-language": language})
        transaction.set_rollback(True)
    for key, response in found.items():
        assert response.status_code == 200, key
    return {key: Document(response.content.decode()) for key, response in found.items()}


@pytest.fixture
def documents(pages: dict[tuple[str, str], Document]) -> dict[str, Document]:
    """Every page in English."""
    return {name: page for (name, language), page in pages.items() if language == "en"}


def test_no_page_carries_inline_style_or_script(documents: dict[str, Document]) -> None:
    for name, document in documents.items():
        for element in document.elements:
            assert "style" not in element.attributes, f"{name}: {element}"
            handlers = [a for a in element.attributes if a.startswith("on")]
            assert not handlers, f"{name}: {element}"
            assert not element.attributes.get("href", "").startswith("javascript:"), name
        assert not document.all("style"), name
        assert all(script.attributes.get("src") for script in document.all("script")), name


def test_no_page_asks_a_third_party_for_anything(documents: dict[str, Document]) -> None:
    for name, document in documents.items():
        for element in document.elements:
            if element.tag in {"script", "link", "img", "image", "use", "form"}:
                for attribute in ("src", "href", "action"):
                    address = element.attributes.get(attribute, "")
                    assert not re.match(r"(https?:)?//", address), f"{name}: {element}"


def test_every_page_is_well_formed_with_one_heading_and_one_title(
    documents: dict[str, Document],
) -> None:
    for name, document in documents.items():
        assert not document.unbalanced, f"{name}: {document.unbalanced}"
        assert len(document.all("h1")) == 1, name
        assert len(document.all("title")) == 1, name
        assert document.title.endswith("· DermAI"), name
        assert len(document.all("main")) == 1, name


def test_headings_never_skip_a_level(documents: dict[str, Document]) -> None:
    for name, document in documents.items():
        before = 1
        for element in document.elements:
            if re.fullmatch(r"h[1-6]", element.tag):
                level = int(element.tag[1])
                assert level <= before + 1, f"{name}: {element.text}"
                before = level


def test_ids_are_unique_and_references_lead_somewhere(documents: dict[str, Document]) -> None:
    for name, document in documents.items():
        ids = Counter(e.attributes["id"] for e in document.elements if "id" in e.attributes)
        assert not [i for i, count in ids.items() if count > 1], name
        for element in document.elements:
            for attribute in ("for", "aria-labelledby", "aria-describedby", "aria-controls"):
                for target in element.attributes.get(attribute, "").split():
                    assert target in ids, f"{name}: {attribute}={target}"
            href = element.attributes.get("href", "")
            if element.tag == "a" and href.startswith("#"):
                assert href[1:] in ids, f"{name}: {href}"


def test_every_field_has_a_label_and_every_button_and_link_a_name(
    documents: dict[str, Document],
) -> None:
    for name, document in documents.items():
        labelled = {label.attributes.get("for") for label in document.all("label")}
        for element in document.elements:
            if element.tag in {"input", "select", "textarea"}:
                if element.attributes.get("type") in UNLABELLED:
                    continue
                wrapped = any(f"data-{key}" in element.attributes for key in ("outline-switch",))
                assert element.attributes.get("id") in labelled or wrapped, f"{name}: {element}"
            if element.tag in {"a", "button", "summary"}:
                assert element.text or element.attributes.get("aria-label"), f"{name}: {element}"
            if element.tag == "img":
                assert "alt" in element.attributes, name


def test_no_page_says_what_must_never_be_said(pages: dict[tuple[str, str], Document]) -> None:
    for (name, language), page in pages.items():
        found = FORBIDDEN[language].search(page.text)
        assert not found, f"{name} in {language}: {found}"
        assert not PERCENT.search(page.text), f"{name} in {language}: {PERCENT.search(page.text)}"


def test_every_page_with_a_result_carries_the_warnings(documents: dict[str, Document]) -> None:
    with_results = [n for n in documents if n.startswith("result-")]
    for name in [*with_results, "history", "compact", "filtered", "lesions", "lesion", "dashboard"]:
        text = documents[name].text
        assert "not a medical device" in text, name
        assert "brown and black skin" in text, name
        assert "starter 1.0.0" in text or name in {"compact", "lesions", "lesion"}, name


def test_drawings_never_carry_a_decimal_comma(pages: dict[tuple[str, str], Document]) -> None:
    numbers = ("x", "y", "width", "height", "cx", "cy", "r", "x1", "x2", "y1", "y2", "viewbox")
    for (name, language), page in pages.items():
        for element in page.elements:
            for attribute in numbers:
                assert "," not in element.attributes.get(attribute, ""), f"{name} {language}"
