"""The Model page of the bundle that ships: each figure is found under its own key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import translation
from pytest_django import Settings

from analyses.model_page import model_page
from tests.analyses_pages.conftest import Open

STARTER = Path(__file__).resolve().parents[2] / "inference_worker" / "bundles" / "starter"


def shipped() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((STARTER / "bundle.json").read_text())
    return found


def told(found: dict[str, Any] | float, places: int = 3) -> str:
    value = found["value"] if isinstance(found, dict) else found
    return f"{value:.{places}f}"


def test_every_section_of_the_shipped_bundle_stands_on_its_page(
    see: Open, settings: Settings
) -> None:
    settings.BUNDLE_DIR = STARTER

    page = see(reverse("analyses:model"))

    metrics = shipped()["metrics"]
    sections = {heading.text for heading in page.all("h2")}
    assert sections >= {
        "How good it is",
        "The evaluation in pictures",
        "What each decision rule does",
        "Which classes it mistakes for which",
        "What several networks and views add",
        "What it refuses to judge",
        "For whom it is better or worse",
        "How much a careless test would flatter",
        "How well it finds the outline",
    }
    pictures = {heading.text for heading in page.all("h3")}
    assert "What it is worth to follow it" in pictures
    assert len(page.all("polyline")) == 6  # two ROC curves, two of decisions
    assert list(metrics["segmentation"]) == ["ham10000", "isic2018_task1"]
    names = ("HAM10000", "ISIC 2018, task 1")
    for name, figures in zip(names, metrics["segmentation"].values(), strict=True):
        assert f"{name}: {figures['n_images']:,} photos" in page.text
        assert f"1 is a perfect match. {told(figures['dice']['mean'])}" in page.text
        assert f"the same match. {told(figures['iou']['mean'])}" in page.text
    assert "drawn: a checkerboard 100.0" in page.text
    passed = metrics["ood"]["test_photos_passed"]
    assert f"learned from {100 * (1 - passed):.1f}" in page.text
    best = metrics["test"]["comparisons"]["best_member"]
    alone = metrics["test"]["members"][best]["melanoma_auc"]
    assert f"Network {best + 1} alone, the best before the test {told(alone)}" in page.text
    assert "That is of single networks" in page.text


@pytest.mark.parametrize(
    ("title", "path"),
    [
        (
            "Malignant: sensitivity at a specificity of 0.95",
            "malignant_sensitivity_at_95_specificity",
        ),
        (
            "Melanoma: specificity at a sensitivity of 0.95",
            "melanoma_specificity_at_95_sensitivity",
        ),
        ("The same, rare classes held as likely as common ones", "balanced_accuracy_prior_free"),
        ("Calibration error", "calibration.after.ece"),
        ("Share of wrong answers, on average over every share decided (AURC)", "aurc"),
        ("Share of photos decided at the gate", "gate.0.coverage"),
        ("Sensitivity among the decided", "gate.0.selective_sensitivity"),
        ("Specificity among the decided", "gate.0.selective_specificity"),
    ],
)
def test_a_figure_of_the_shipped_bundle_is_found_under_its_own_key(title: str, path: str) -> None:
    found: Any = shipped()["metrics"]["test"]
    for key in path.split("."):
        found = found[int(key)] if isinstance(found, list) else found[key]

    with translation.override("en"):
        page = model_page(STARTER)

    assert page is not None
    assert [metric.value for metric in page.metrics if str(metric.title) == title] == [told(found)]
