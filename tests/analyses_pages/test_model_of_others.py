"""The Model page of bundles unlike the shipped one: what it says is true of each of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import translation
from pytest_django import Settings

from analyses import model_origin, model_outputs, model_parts
from analyses.model_page import model_page
from tests.analyses_pages.conftest import Open
from tests.analyses_pages.markup import Document

# As training/recipes/convnext_base.yaml, resnet50.yaml and efficientnet_b3.yaml name their outputs.
TWO: dict[str, Any] = {
    "outputs": ["benign", "malignant"],
    "activation": "softmax",
    "class_map": {"malignant": ["malignant"]},
}
ONE_SIGMOID: dict[str, Any] = {
    "outputs": ["malignant"],
    "activation": "sigmoid",
    "class_map": {"malignant": ["malignant"]},
}
FOUR: dict[str, Any] = {
    "outputs": ["benign", "suspicious", "malignant", "melanoma"],
    "activation": "softmax",
    "class_map": {"malignant": ["suspicious", "malignant", "melanoma"], "melanoma": ["melanoma"]},
}
ALL = pytest.mark.parametrize("answers", [TWO, ONE_SIGMOID, FOUR], ids=["two", "sigmoid", "four"])

FALSE_WORDS = (
    *("seven", "7 classes", "three malignant", "0.14", "Mole", "moles", "naev", "keratosis"),
    *("Basal", "Austria", "Australia", "averaged", "networks", "None lesions", "once on"),
)


def figure(value: float) -> dict[str, Any]:
    return {"value": value, "ci": [value - 0.02, value + 0.02]}


def manifest(
    answers: dict[str, Any], metrics: dict[str, Any] | None = None, members: int = 1
) -> dict[str, Any]:
    """Return a bundle of one network without a segmenter, as `training export` writes it."""
    return {
        "name": "other",
        "version": "2.0.0",
        "classifier": {"architecture": {"name": "resnet50"}, "members": [{}] * members, **answers},
        "views": ["identity"],
        "gate": {"active": "fixed", "fixed": {"threshold": 0.99}, "risk_controlled": None},
        "segmenter": None,
        "training": {
            "split": {"by": "lesion"},
            "data": [{"name": "own-clinic", "licence": "unknown", "images": 900, "lesions": 800}],
        },
        "metrics": metrics or {},
    }


def evidence(columns: tuple[str, ...]) -> dict[str, Any]:
    """Return what an evaluation of these columns holds; without melanoma where none is told."""
    tasks = ("malignant", "melanoma") if "melanoma" in columns else ("malignant",)
    aucs = {f"{task}_auc": figure(0.9) for task in tasks}
    calibration = {
        "ece": figure(0.03),
        "brier": figure(0.08),
        "nll": figure(0.25),
        "nll_seven_classes": figure(0.48),
        "bins": [[0.1, 0.05, 50], [0.6, 0.75, 50]],
    }
    counts = [60, *[40] * (len(columns) - 1)]
    row = {
        "threshold": 0.99,
        "coverage": 0.4,
        "benign": {"decided_benign": 30, "deferred": 29, "decided_malignant": 1},
        "malignant": {"decided_benign": 2, "deferred": 27, "decided_malignant": 11},
        "selective_sensitivity": 0.846,
        "selective_specificity": None,
        "sensitivity_deferred_missed": 0.275,
        "sensitivity_deferred_referred": 0.95,
        "ci": {"coverage": [0.3, 0.5]},
    }
    worse = [{"photos": "blur", "auc": figure(0.8), "change": figure(-0.1)}]
    return {
        "test": {
            "n_images": sum(counts),
            "n_lesions": 90,
            "classes": dict(zip(columns, counts, strict=True)),
            "prevalence": dict.fromkeys(tasks, 0.4),
            **aucs,
            "balanced_accuracy": figure(0.7),
            "balanced_accuracy_prior_free": figure(0.7),
            "accuracy": {"value": 0.8, "ci": [None, None]},
            "calibration": {"temperature": 1.3, "before": calibration, "after": calibration},
            "confusion": [[5] * len(columns)] * len(columns),
            "gate": [row],
            "curves": {"roc": {task: [[0, 0], [1, 1]] for task in tasks}},
            "comparisons": {
                "best_member": 0,
                "ensemble_minus_best_member": aucs,
                "tta_minus_none": aucs,
            },
            "members": [aucs],
            "subgroups": {},
        },
        "robustness": {"n_images": 50, "tasks": dict.fromkeys(tasks, worse)},
        "segmentation": {},
    }


def columns(answers: dict[str, Any]) -> tuple[str, ...]:
    return model_outputs.columns(answers)


@pytest.fixture
def show(see: Open, settings: Settings, tmp_path: Path) -> Any:
    def page_of(content: dict[str, Any]) -> Document:
        (tmp_path / "bundle.json").write_text(json.dumps(content))
        settings.BUNDLE_DIR = tmp_path
        return see(reverse("analyses:model"))

    return page_of


@ALL
def test_a_page_says_nothing_that_is_true_of_the_shipped_bundle_alone(
    show: Any, answers: dict[str, Any]
) -> None:
    text = show(manifest(answers, evidence(columns(answers)))).text

    assert [word for word in FALSE_WORDS if word in text] == []
    assert "own-clinic 900 800 unknown" in text
    assert "One trained model looks at each photo once. Its opinion is calibrated." in text
    assert "none in this model" in text
    assert "Of whom these photos were taken, this model’s record does not say." in text


@pytest.mark.parametrize(
    ("answers", "n", "chance"), [(TWO, 2, "0.50"), (ONE_SIGMOID, 2, "0.50"), (FOUR, 4, "0.25")]
)
def test_what_guessing_reaches_depends_on_how_many_answers_there_are(
    show: Any, answers: dict[str, Any], n: int, chance: str
) -> None:
    text = show(manifest(answers, evidence(columns(answers)))).text

    assert f"It can only give one of {n} answers" in text
    assert f"Right class of {n}, each class counted alike" in text
    assert f"Guessing alone would reach {chance}." in text
    assert ("of all 4 classes" in text) == (n == 4)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (
            TWO,
            "Something malignant counted as malignant Something benign counted as benign",
        ),
        (
            ONE_SIGMOID,
            "Something malignant counted as malignant Nothing malignant counted as benign",
        ),
        (
            FOUR,
            (
                "Something suspicious counted as malignant Something malignant counted as malignant"
                " Melanoma counted as malignant Something benign counted as benign"
            ),
        ),
    ],
)
def test_every_answer_is_named_with_the_side_that_it_counts_on(
    show: Any, answers: dict[str, Any], told: str
) -> None:
    assert f"What it can tell apart {told}" in show(manifest(answers)).text


def test_an_output_is_named_for_the_class_that_the_bundle_maps_it_to() -> None:
    classifier = {
        "outputs": ["c0", "c1", "mel", "else"],
        "activation": "softmax",
        "class_map": {"mel": ["c1"], "bcc": ["c0"], "akiec": ["mel"], "nv": ["else"]},
    }

    found = model_outputs.answers(classifier)

    with translation.override("en"):
        assert [str(one.name) for one in found] == [
            "Melanoma",
            "Basal cell carcinoma",
            "Actinic keratosis or Bowen’s disease",
            "Mole (naevus)",
        ]
        assert [str(one.side) for one in found][-2:] == [
            "counted as malignant",
            "counted as benign",
        ]


def test_only_what_there_are_several_of_adds_something() -> None:
    test = evidence(("benign", "malignant"))["test"]

    with translation.override("en"):
        one_by_views = model_parts.added(test, members=1, views=9)
        many_once = model_parts.added(
            test | {"members": [{"malignant_auc": 0.9}] * 2}, members=2, views=1
        )

    assert model_parts.added(test, members=1, views=1) is None
    assert one_by_views is not None
    assert many_once is not None
    assert [row[0] for row in one_by_views.rows] == ["All views against the photo as it stands"]
    assert [row[0] for row in many_once.rows] == [
        "All networks against the best one alone",
        "Network 1 alone, the best before the test",
        "Network 2 alone",
    ]


@pytest.mark.parametrize(
    ("members", "views", "heading", "told"),
    [
        (1, 9, "What several views add", "One trained model looks at each photo from 9 sides."),
        (5, 1, "What several networks add", "5 separately trained models look at each photo once."),
        (5, 9, "What several networks and views add", "look at each photo from 9 sides each."),
    ],
)
def test_one_network_or_one_view_is_not_told_as_several(
    show: Any, members: int, views: int, heading: str, told: str
) -> None:
    content = manifest(TWO, evidence(columns(TWO)), members) | {"views": ["identity"] * views}

    page = show(content)

    assert told in page.text
    assert [h.text for h in page.all("h2") if h.text.startswith("What several")] == [heading]


@pytest.mark.parametrize("metrics", [{}, {"test": {"n_images": 5, "gate": [{"threshold": 0.99}]}}])
@ALL
def test_a_model_without_figures_that_can_be_read_is_a_model_all_the_same(
    show: Any, answers: dict[str, Any], metrics: dict[str, Any]
) -> None:
    page = show(manifest(answers, metrics))

    assert "other 2.0.0" in page.text
    assert "how often it is right is not known" in page.text
    assert len(page.all("table")) == 1  # the training data alone


def test_a_model_of_unknown_origin_says_so(show: Any) -> None:
    text = show({**manifest(TWO), "training": {}}).text

    assert "What it learned from This model’s record does not say." in text


@pytest.mark.parametrize(
    ("training", "metrics", "told", "untold"),
    [
        ({"split": {"by": "lesion"}}, {}, "read once", "again"),
        # Made before there was another way to split.
        ({"split": {"seed": 1}}, {}, "trained on no photo of these lesions", "flatters"),
        (
            {"split": {"by": "lesion"}, "photos_not_known_of": ["a"]},
            {},
            "may have been",
            "no photo",
        ),
        ({"split": {"by": "lesion"}, "photos_not_known_of": []}, {}, "trained on no photo", "may"),
        ({"split": {"by": "image"}}, {}, "which flatters every figure below", "no photo"),
        ({"split": {"by": "lesion"}}, {"test_read_again": True}, "never to choose", "once"),
        ({}, {}, "Measured on 100 photos of 90 lesions.", "trained"),
    ],
)
def test_how_it_was_measured_is_what_the_bundle_says(
    training: dict[str, Any], metrics: dict[str, Any], told: str, untold: str
) -> None:
    test = {"n_images": 100, "n_lesions": 90}

    with translation.override("en"):
        said = model_origin.measured({"training": training, "metrics": {"test": test, **metrics}})

    assert told in said
    assert untold not in said


def test_how_common_the_malignant_ones_were_is_said_with_what_follows() -> None:
    with translation.override("en"):
        many = model_origin.prevalence({"prevalence": {"malignant": 0.19}})
        few = model_origin.prevalence({"prevalence": {"malignant": 0.02, "melanoma": 0.01}})

    assert "about 19 in 100 show something malignant." in many
    assert "too high for them" in many
    assert "about 2 in 100 show something malignant: about 1 in 100 melanoma." in few
    assert "too high" not in few
    assert model_origin.prevalence({}) == ""


def test_a_rule_certified_of_one_network_is_of_that_network() -> None:
    rule = {"threshold": 0.98, "alpha": 0.01, "delta": 0.05, "coverage": 0.5}
    content = manifest(TWO) | {"gate": {"active": "fixed", "risk_controlled": rule}}

    with translation.override("en"):
        known = model_parts.bound(content | {"metrics": {"out_of_fold": {"certified": {"n": 1}}}})
        unknown = model_parts.bound(content)

    assert "That is of this network" in known
    assert "Of whom that was shown, the bundle does not say." in unknown


def test_a_figure_that_is_missing_leaves_neither_column_nor_row(show: Any) -> None:
    bare = {
        "calibration": {"after": {"ece": 0.03}},
        "balanced_accuracy": 0.7,
        "n_images": 100,
    }
    metrics = {"test": bare, "segmentation": {"own-clinic": {"dice": {"mean": 0.9}}}}

    text = show(manifest(TWO, metrics)).text

    assert "Probabilities Calibration error (ECE) After temperature scaling 0.030" in text
    assert "Figure Photos Mean own-clinic: Dice overlap – 0.900" in text
    assert "Measured on 100 photos." in text
    for absent in ("Brier score 0", "Before temperature", "Median", "When photos are worse"):
        assert absent not in text


def test_the_heat_map_is_no_proof(show: Any) -> None:
    text = show(manifest(TWO)).text

    assert "The heat map shows where the model responded. It is not proof" in text


def test_all_the_page_says_of_such_a_bundle_is_told_in_every_language(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "bundle.json").write_text(json.dumps(manifest(FOUR, evidence(columns(FOUR)))))
    said = {}
    for language in ("en", "es", "ca"):
        with translation.override(language):
            page = model_page(tmp_path)
            assert page is not None
            assert page.calibration is not None
            assert page.gate_shares is not None
            said[language] = [
                page.measured,
                page.prevalence,
                *(str(one.name) for one in page.outputs),
                *(str(one.side) for one in page.outputs),
                *(str(m.title) for m in page.metrics),
                *(str(m.about) for m in page.metrics),
                *map(str, page.calibration.header),
                *(row[0] for row in page.calibration.rows),
                *map(str, page.gate_shares.header),
            ]

    for language in ("es", "ca"):
        same = {one for one, other in zip(said["en"], said[language], strict=True) if one == other}
        assert same <= {"Melanoma"}
