"""The evaluation's pictures and tables on the Model page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import translation
from pytest_django import Settings

from analyses import model_charts
from analyses.model_page import model_page
from tests.analyses_pages.conftest import Open
from tests.analyses_pages.test_other_pages import BUNDLE

TEST: dict[str, Any] = {
    "n_images": 100,
    "n_lesions": 90,
    "classes": {"mel": 40, "nv": 60},
    "confusion": [[31, 9], [4, 56]],
    "calibration": {"after": {"bins": [[0.1, 0.05, 50], [0.6, 0.75, 50]]}},
    "curves": {
        "roc": {"malignant": [[0, 0], [0.05, 0.6], [1, 1]]},
        "risk_coverage": [[0.1, 0.0], [1.0, 0.13]],
    },
    "gate": [
        {
            "threshold": 0.99,
            "coverage": 0.42,
            "benign": {"decided_benign": 30, "deferred": 29, "decided_malignant": 1},
            "malignant": {"decided_benign": 2, "deferred": 27, "decided_malignant": 11},
        }
    ],
}


@pytest.fixture
def bundle(tmp_path: Path, settings: Settings) -> Path:
    content = BUNDLE | {"metrics": {"test": TEST}}
    (tmp_path / "bundle.json").write_text(json.dumps(content))
    settings.BUNDLE_DIR = tmp_path
    return tmp_path


def test_the_model_page_shows_the_evaluation_with_its_tables(see: Open, bundle: Path) -> None:
    page = see(reverse("analyses:model"))

    assert len(page.all("polyline")) == 3
    assert "What each decision rule does" in page.text
    assert "0.990 0.420 11 27 2 30 29 1" in page.text
    assert "Which classes it mistakes for which" in page.text


def test_a_curve_is_drawn_upwards_and_told_in_figures(bundle: Path) -> None:
    with translation.override("en"):
        page = model_page(bundle)

    assert page is not None
    roc = page.charts[0]
    assert roc.lines[0].points == "0.0,400.0 20.0,160.0 400.0,0.0"
    assert ("0.05", "0.60") in roc.rows
    assert roc.key == "roc"


def test_a_bundle_without_curves_has_no_pictures() -> None:
    assert model_charts.charts({}) == ()
    assert model_charts.gate({}) is None
    assert model_charts.confusion({"confusion": [[1]], "classes": {}}, {}) is None
