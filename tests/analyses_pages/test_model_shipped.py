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


def between(found: dict[str, Any], key: str = "value") -> str:
    low, high = found["ci"]
    return f"{found[key]:.3f} ({low:.3f} to {high:.3f})"


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
        "Whether its probabilities can be taken at their word",
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
        for words, key in (("Dice overlap", "dice"), ("intersection over union", "iou")):
            one = figures[key]
            spread = f"{told(one['median'])} {told(one['p5'])}"
            row = f"{name}: {words} {figures['n_images']:,} {between(one, 'mean')} {spread}"
            assert row in page.text
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


def test_the_shipped_bundle_says_how_often_its_test_was_read(see: Open, settings: Settings) -> None:
    settings.BUNDLE_DIR = STARTER

    text = see(reverse("analyses:model")).text

    assert shipped()["metrics"]["test_read_again"] is True
    assert "Measured on 1,979 photos of 1,494 lesions. It was trained on no photo of these" in text
    assert "The test photos were read again to measure more, never to choose" in text
    assert "once" not in text
    assert "about 19 in 100 show something malignant: about 11 in 100 melanoma" in text
    assert "HAM10000. Taken in Vienna, Austria, and in Queensland, Australia." in text
    assert "ISIC 2018, task 1. Of these photos, all of which trained the outline alone" in text


def test_the_shipped_bundle_says_how_far_its_probabilities_go(
    see: Open, settings: Settings
) -> None:
    settings.BUNDLE_DIR = STARTER

    text = see(reverse("analyses:model")).text

    calibration = shipped()["metrics"]["test"]["calibration"]
    names = ("ece", "brier", "nll", "nll_seven_classes")
    for when, words in (
        ("before", "Before temperature scaling"),
        ("after", f"After, with a temperature of {calibration['temperature']:.3f}"),
    ):
        row = " ".join(between(calibration[when][name]) for name in names)
        assert f"{words} {row}" in text
    assert "Negative log-likelihood, of all 7 classes" in text


def test_the_shipped_gate_counts_the_deferred_both_ways(see: Open, settings: Settings) -> None:
    settings.BUNDLE_DIR = STARTER

    text = see(reverse("analyses:model")).text

    row = shipped()["metrics"]["test"]["gate"][3]
    names = (
        *("coverage", "selective_sensitivity", "selective_specificity"),
        *("sensitivity_deferred_missed", "sensitivity_deferred_referred"),
    )
    shares = (between({"value": row[name], "ci": row["ci"][name]}) for name in names)
    assert f"{row['threshold']:.3f} {' '.join(shares)}" in text


def test_the_shipped_bundle_tells_both_aucs_of_worse_photos(see: Open, settings: Settings) -> None:
    settings.BUNDLE_DIR = STARTER

    text = see(reverse("analyses:model")).text

    tasks = shipped()["metrics"]["robustness"]["tasks"]
    dark = [
        between(row["auc"])
        for task in ("malignant", "melanoma")
        for row in tasks[task]
        if row["photos"] == "30% darker"
    ]
    assert len(dark) == 2
    assert f"darker by three tenths {dark[0]} -0." in text
    assert f") {dark[1]} -0." in text
