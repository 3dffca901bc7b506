"""Card, label, tables and pictures: of the bundle that ships, and of older and poorer ones."""

from __future__ import annotations

import csv
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference_worker import bundle, manifest
from training import evidence, markdown, metrics, model_card, model_facts

ROOT = Path(__file__).resolve().parents[2]
STARTER = ROOT / "inference_worker" / "bundles" / "starter"
DOCS = ROOT / "docs"


@pytest.fixture
def shipped() -> manifest.Manifest:
    return bundle.load_manifest(STARTER)[0]


def read(path: Path) -> list[list[str]]:
    return list(csv.reader(path.open()))


def as_first_made(shipped: manifest.Manifest) -> manifest.Manifest:
    """Return the manifest with bare numbers where intervals came later, and without later parts."""
    found = deepcopy(shipped.metrics)
    for name in ("refusals", "storage", "robustness", "sharpening"):
        found.pop(name, None)
    found["out_of_fold"].pop("certified", None)
    test = found["test"]
    test["aurc"] = 0.0247
    for one in test["members"]:
        for name in list(one):
            one[name] = markdown.ends(one[name])[0] if name.endswith("_auc") else one.pop(name)
        one.pop("balanced_accuracy", None)
        one.pop("accuracy", None)
    for groups in test["subgroups"].values():
        for one in groups.values():
            one["malignant_auc"] = markdown.ends(one["malignant_auc"])[0]
    for row in test["gate"]:
        row.pop("ci", None)
    return replace(shipped, metrics=found)


def test_the_evidence_of_the_shipped_bundle_is_whole(
    shipped: manifest.Manifest, tmp_path: Path
) -> None:
    evidence.write(evidence.completed(shipped), tmp_path / "evidence")

    card = (tmp_path / "model-card.md").read_text()
    headings = {line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")}
    assert headings >= {
        "Facts",
        "When not to use it",
        "Data",
        "Test, all photos decided",
        "How much an image-random split flatters",
        "At the gate",
        "Calibration",
        "What the ensemble and the views add",
        "Confusion",
        "Lesion outline",
        "What it refuses",
        "Subgroups",
    }
    pictures = [p for p in (tmp_path / "evidence").iterdir() if p.suffix in {".svg", ".png"}]
    assert len(pictures) == 10
    assert (tmp_path / "model-facts.md").read_text().startswith("# Model facts: starter")
    for told in ("model-card.md", "model-facts.md", "evidence/metrics.json"):
        assert (DOCS / told).read_text() == (tmp_path / told).read_text(), told


@pytest.mark.parametrize("make", ["as it ships", "as first made"])
def test_every_figure_stands_in_the_tables_for_machines(
    shipped: manifest.Manifest, tmp_path: Path, make: str
) -> None:
    made = shipped if make == "as it ships" else as_first_made(shipped)

    evidence.write(made, tmp_path / "evidence")

    figures = {row[0]: row[1:] for row in read(tmp_path / "evidence" / "metrics.csv")}
    assert figures.keys() >= {
        "melanoma_auc",
        "aurc",
        "calibration.after.ece",
        "calibration.after.brier",
        "calibration.before.nll",
        "comparisons.tta_minus_none.melanoma_auc",
        "members.4.malignant_auc",
        "segmentation.ham10000.dice.mean",
        "segmentation.isic2018_task1.iou.p5",
        "ood.test_photos_passed",
    }
    assert figures["members.0.seed"][0] == "42"
    assert float(figures["melanoma_auc"][1]) < float(figures["melanoma_auc"][0])
    assert not [name for name in figures if "bins" in name or "curves" in name]
    counts = read(tmp_path / "evidence" / "confusion.csv")
    assert [row[0] for row in counts] == ["truth", *shipped.classifier.outputs]
    curves = {(row[0], row[1]) for row in read(tmp_path / "evidence" / "curves.csv")[1:]}
    assert curves >= {("roc", "melanoma"), ("decision", "everybody"), ("reliability", "after")}
    groups = read(tmp_path / "evidence" / "subgroups.csv")
    assert groups[1][:3] == ["sex", "female", "924"]
    gate = read(tmp_path / "evidence" / "gate.csv")
    at = gate[0].index("coverage_ci_low")
    assert float(gate[1][at]) < float(gate[1][1]) < float(gate[1][at + 1])


def test_what_an_older_bundle_lacks_is_said_to_be_not_measured(
    shipped: manifest.Manifest,
) -> None:
    card = model_card.render(as_first_made(shipped), "evidence")

    assert "| 0 | 42 | 0.9125 | 0.9269 | not measured |" in card
    assert "pass every check together: not measured." in card
    assert "| sex | female | 924 | 145 | 0.927 |" in card
    assert "AURC): 0.0247." in card
    assert "37.7% (35.6% to 39.9%)" in card


def test_a_bound_that_is_not_of_what_is_served_says_so(shipped: manifest.Manifest) -> None:
    old = as_first_made(shipped)

    for told in (model_card.render(old, "evidence"), model_facts.render(old)):
        assert "of which this bound is not shown" in told


@pytest.mark.parametrize(
    ("threshold", "told"), [(0.99, "stands below"), (0.9871, "has not been measured")]
)
def test_the_card_tells_whether_the_certified_threshold_was_tested(
    shipped: manifest.Manifest, threshold: float, told: str
) -> None:
    card = model_card.render(certified(shipped, threshold), "evidence")

    assert f"at this threshold on the test part {told}" in card


def test_figures_taken_anew_say_in_what_and_that_the_test_part_was_read_again(
    shipped: manifest.Manifest,
) -> None:
    later = {"served_max_difference_of_p", metrics.READ_AGAIN}
    own = {k: v for k, v in shipped.metrics.items() if k not in later}
    own |= {"evaluated_in": "float32"}
    for again in (True, False):
        known = own | ({metrics.READ_AGAIN: True} if again else {})
        card = model_card.render(replace(shipped, metrics=known), "evidence")
        assert "| Measured | in float32 |" in card
        assert ("was read again to measure more" in card) is again


def certified(shipped: manifest.Manifest, threshold: float) -> manifest.Manifest:
    """Return the bundle with a gate certified at `threshold`, of 1,000 malignant lesions."""
    certified: dict[str, Any] = {
        "benign": {"decided_benign": 400, "deferred": 600, "decided_malignant": 0},
        "malignant": {"decided_benign": 3, "deferred": 900, "decided_malignant": 97},
        "coverage": 0.25,
        "ci": {"coverage": [0.23, 0.27]},
        "upper_bound": 0.0077,
    }
    seen = {"served_temperature": 0.906, "certified": certified}
    controlled = manifest.RiskControlledGate(threshold, 0.01, 0.05, 0.25)
    return replace(
        shipped,
        gate=replace(shipped.gate, risk_controlled=controlled),
        metrics={**shipped.metrics, "out_of_fold": seen},
    )


def test_a_certified_bound_says_of_whom_it_is(shipped: manifest.Manifest) -> None:
    made = certified(shipped, 0.987)

    for told in (model_card.render(made, "evidence"), model_facts.render(made)):
        assert "Certified of single members, each on the fold that it left out" in told
        assert "temperature that is served (0.906): at 0.987 malignant" in told
        assert "3 of 1000 were (upper bound 0.8%)" in told
        assert "25.0% (23.0% to 27.0%)" in told
        assert "cannot be certified so" in told


def test_the_card_carries_what_every_outcome_carries(shipped: manifest.Manifest) -> None:
    card = model_card.render(shipped, "evidence")

    for words in ("ABCDE", "ugly duckling", "ask for a human", "bleeds, crusts", "light skin"):
        assert words in card


def test_a_note_on_a_data_set_stands_below_the_table(shipped: manifest.Manifest) -> None:
    own = {"name": "own", "licence": "none", "note": "Taken in one clinic."}
    data = [own, {"name": "other", "licence": "none"}]
    training = {**shipped.training, "data": data}

    card = model_card.render(replace(shipped, training=training), "evidence")

    assert "\n\nown: Taken in one clinic.\n\n## " in card
    assert "other:" not in card


def test_a_split_by_image_is_not_called_one_by_lesion(shipped: manifest.Manifest) -> None:
    training = {**shipped.training, "split": {"by": "image"}}

    card = model_card.render(replace(shipped, training=training), "evidence")

    assert "**Split photo by photo**" in card
    assert "no lesion stands on two sides" not in card
    assert "no lesion stands on two sides" in model_card.render(shipped, "evidence")


def test_refusals_are_told_with_their_reasons(shipped: manifest.Manifest) -> None:
    refused = {
        "n_images": 200,
        "passed": {"value": 0.98, "ci": [0.95, 0.995]},
        "reasons": {"blurred": 1, "out_of_distribution": 3},
    }

    card = model_card.render(
        replace(shipped, metrics={**shipped.metrics, "refusals": refused}), "evidence"
    )

    assert "Of 200 real test photos 98.0% (95.0% to 99.5%) pass" in card
    assert "Refused: blurred 1, out_of_distribution 3." in card


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (0.9, "0.90"),
        ({"value": 0.9}, "0.90"),
        ({"value": 0.9, "ci": [0.8, 1.0]}, "0.90 (0.80 to 1.00)"),
        ({"value": None, "ci": [None, None]}, "–"),
        (None, "–"),
    ],
)
def test_a_figure_is_told_with_or_without_its_interval(found: Any, told: str) -> None:
    assert markdown.figure(found, 2) == told
