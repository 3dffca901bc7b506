"""The Model page, the refusals, and the languages of the shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import translation
from pytest_django import Settings

from analyses.model_page import model_page
from tests.analyses_pages.conftest import Open
from tests.analyses_pages.markup import Document

BUNDLE: dict[str, Any] = {
    "name": "starter",
    "version": "1.2.3",
    "created": "2026-11-21",
    "licence": "CC-BY-NC-4.0",
    "classifier": {
        "architecture": {"name": "mobilenetv2"},
        "members": [{}] * 5,
        "outputs": ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"],
    },
    "views": ["identity"] * 9,
    "gate": {"active": "fixed", "fixed": {"threshold": 0.99}, "risk_controlled": None},
    "segmenter": {"file": "segmenter.safetensors"},
    "training": {"data": [{"name": "HAM10000", "licence": "CC BY-NC 4.0", "images": 10015}]},
    "metrics": {
        "test": {
            "n_images": 2003,
            "n_lesions": 1494,
            "melanoma_auc": {"value": 0.9, "ci": [0.88, 0.92]},
            "made_up": {"value": 0.5, "ci": [0.4, 0.6]},
            "malignant_auc": {"value": "broken"},
        }
    },
}


@pytest.fixture
def bundle(tmp_path: Path, settings: Settings) -> Path:
    (tmp_path / "bundle.json").write_text(json.dumps(BUNDLE))
    settings.BUNDLE_DIR = tmp_path
    return tmp_path


def test_the_model_page_tells_figures_with_their_range_and_on_what(see: Open, bundle: Path) -> None:
    text = see(reverse("analyses:model")).text

    assert "starter 1.2.3" in text
    assert "0.900 0.880 to 0.920" in text
    assert "2,003 photos of 1,494 lesions" in text
    assert "HAM10000" in text


def test_the_model_page_says_when_not_to_use_it_and_on_whose_skin(see: Open, bundle: Path) -> None:
    page = see(reverse("analyses:model"))

    assert page.all("h2")[0].text == "When not to use it"
    assert "brown and black skin" in page.text
    assert "no threshold is certified" in page.text


def test_figures_without_words_or_numbers_are_left_out(bundle: Path) -> None:
    page = model_page(bundle)

    assert page is not None
    assert len(page.metrics) == 1


def test_without_a_bundle_the_model_page_says_so(
    see: Open, settings: Settings, tmp_path: Path
) -> None:
    settings.BUNDLE_DIR = tmp_path / "nothing"

    assert "No model is installed" in see(reverse("analyses:model")).text


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": 1}'])
def test_a_broken_bundle_breaks_no_page(tmp_path: Path, content: str) -> None:
    (tmp_path / "bundle.json").write_text(content)

    assert model_page(tmp_path) is None


def test_an_unknown_address_says_nothing_but_that(see: Open) -> None:
    page = see("/nowhere/secret-name/", status=404)

    assert page.title == "Not found · DermAI"
    assert "secret-name" not in page.text


def test_a_form_without_its_token_is_refused_with_words(alice: object, db: None) -> None:
    strict = Client(enforce_csrf_checks=True)

    response = strict.post(reverse("set_language"), {"language": "es"})

    assert response.status_code == 403
    assert "This form is too old" in response.content.decode()


@pytest.mark.parametrize("template", ["400.html", "500.html"])
def test_the_last_pages_need_neither_request_nor_database(template: str) -> None:
    page = Document(render_to_string(template))

    assert page.title.startswith("Error:")
    assert not page.unbalanced


def test_the_page_for_the_forbidden_renders() -> None:
    request = RequestFactory().get("/")

    with translation.override("en"):
        assert "You may not do that" in render_to_string("403.html", {"exception": "no"}, request)


@pytest.mark.parametrize(
    ("code", "words"), [("es", "Saltar al contenido"), ("ca", "Salta al contingut")]
)
def test_the_language_can_be_chosen_and_stays(
    client: Client, db: None, code: str, words: str
) -> None:
    client.post(reverse("set_language"), {"language": code, "next": "/"})

    page = Document(client.get("/").content.decode())

    assert words in page.text
    assert page.all("html")[0].attributes["lang"] == code


def test_the_places_of_an_administrator_hold_nothing_clinical(db: None, client: Client) -> None:
    from tests.factories import make_user

    client.force_login(make_user("root", role="admin"))

    page = Document(client.get(reverse("analyses:model")).content.decode())

    places = {
        a.attributes["href"]
        for a in page.all("a")
        if "places__link" in a.attributes.get("class", "")
    }
    assert reverse("analyses:list") not in places
    assert reverse("admin:index") in places
