"""The evaluation's pictures and tables on the Model page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import translation
from pytest_django import Settings

from analyses import model_charts, model_limits, model_parts
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
    assert model_charts.gate_shares({"gate": TEST["gate"]}) is None
    assert model_charts.confusion({"confusion": [[1]], "classes": {}}, {}) is None


LIMITS: dict[str, Any] = {
    "test": TEST
    | {
        "subgroups": {
            "sex": {
                "female": {
                    "n": 1924,
                    "malignant": 145,
                    "malignant_auc": {"value": 0.917, "ci": [0.9, 0.93]},
                }
            },
            # As bundles of the first make tell it: without an interval.
            "site": {"scalp": {"n": 36, "malignant": 15, "malignant_auc": 0.838}},
            "dx_type": {"histo": {"n": 99, "malignant": 50, "malignant_auc": 0.5}},
        }
    },
    "robustness": {
        "n_images": 400,
        "tasks": {
            "malignant": [
                {
                    "photos": "blur",
                    "auc": {"value": 0.9, "ci": [0.88, 0.92]},
                    "change": {"value": -0.02, "ci": [-0.03, 0.01]},
                }
            ]
        },
    },
    "image_random": {
        "version": "0.9.0",
        "members": 1,
        "by_lesion": {"malignant_auc": {"value": 0.92}},
        "by_image": {"malignant_auc": {"value": 0.95, "ci": [0.94, 0.96]}},
    },
}


def test_the_model_page_says_where_the_model_is_worse(
    see: Open, tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "bundle.json").write_text(json.dumps(BUNDLE | {"metrics": LIMITS}))
    settings.BUNDLE_DIR = tmp_path

    page = see(reverse("analyses:model"))

    assert "Sex: female 1,924 145 0.917 (0.900 to 0.930)" in page.text
    assert "Site: scalp 36 15 0.838" in page.text
    assert "histo" not in page.text
    assert "400 test photos" in page.text
    assert "blurred 0.900 (0.880 to 0.920) -0.020 (-0.030 to +0.010)" in page.text
    assert "Malignant told from benign (AUC) 0.920 0.950 (0.940 to 0.960)" in page.text
    assert "One network alone. Both columns were measured with version 0.9.0" in page.text


def test_a_figure_that_could_not_be_computed_is_a_dash() -> None:
    nothing = {"value": None, "ci": [None, None]}
    groups = {"sex": {"male": {"n": 30, "malignant": 1, "malignant_auc": nothing}}}

    found = model_limits.groups({"subgroups": groups})

    assert found is not None
    assert found.rows[0][-1] == "–"


def test_the_gate_is_told_at_the_threshold_that_is_active(
    settings: Settings, tmp_path: Path
) -> None:
    other = {**TEST["gate"][0], "threshold": 0.9, "coverage": 0.77}
    gate = {
        "active": "risk_controlled",
        "fixed": {"threshold": 0.99},
        "risk_controlled": {"threshold": 0.9, "alpha": 0.01, "delta": 0.05, "coverage": 0.5},
    }
    content = BUNDLE | {"gate": gate, "metrics": {"test": TEST | {"gate": [*TEST["gate"], other]}}}
    (tmp_path / "bundle.json").write_text(json.dumps(content))

    page = model_page(tmp_path)

    assert page is not None
    shares = [m.value for m in page.metrics if str(m.title).startswith("Share of photos decided")]
    assert shares == ["0.770"]


def test_the_shares_of_the_gate_stand_beside_what_it_decides_with_intervals() -> None:
    row = TEST["gate"][0] | {
        "selective_sensitivity": 0.846,
        "selective_specificity": None,
        "ci": {"coverage": [0.32, 0.52], "selective_sensitivity": [0.54, 0.98]},
    }

    with translation.override("en"):
        found = model_charts.gate_shares({"gate": [row]})

    assert found is not None
    told = tuple(" ".join(cell.split()) for cell in found.rows[0])
    assert told == ("0.990", "0.420 (0.320 to 0.520)", "0.846 (0.540 to 0.980)", "–")


def test_net_benefit_is_drawn_from_nothing_up_to_the_best() -> None:
    curve = [
        {"threshold": 0.1, "model": 0.2, "everybody": 0.15},
        {"threshold": 0.5, "model": 0.1, "everybody": -0.4},
    ]

    with translation.override("en"):
        (chart,) = model_charts.charts({"curves": {"decision": curve}})

    assert [line.points for line in chart.lines] == [
        "80.0,0.0 400.0,200.0",
        "80.0,100.0 400.0,400.0",
    ]
    assert chart.rows[1] == ("0.50", "0.100", "-0.400")
    assert "up to 0.20" in chart.y
    assert not chart.diagonal


def test_a_figure_is_rounded_not_cut_off() -> None:
    with translation.override("en"):
        assert model_charts.figure(0.02466) == "0.025"
        signed = model_charts.figure({"value": -0.0004, "ci": [-0.0017, 0.0029]}, signed=True)

    assert " ".join(signed.split()) == "0.000 (-0.002 to +0.003)"


def test_a_narrow_column_breaks_before_an_interval_and_not_within_it() -> None:
    for language in ("en", "es", "ca"):
        with translation.override(language):
            told = model_charts.figure({"value": 0.9, "ci": [0.8, 1.0]})

        assert told.count(" ") == 1
        assert told.split(" ")[1].startswith("(")


def test_thresholds_stand_in_order() -> None:
    row = TEST["gate"][0]
    rows = [row | {"threshold": threshold} for threshold in (0.99, 0.7, 0.9875)]

    found = model_charts.gate({"gate": rows})

    assert found is not None
    assert [one[0] for one in found.rows] == ["0.990", "0.9875", "0.700"]


@pytest.mark.parametrize(
    ("seen", "words"),
    [({}, "more cautiously than here"), ({"certified": {"upper_bound": 0.009}}, "as here")],
)
def test_a_certified_rule_says_of_whom_it_is(seen: dict[str, Any], words: str) -> None:
    rule = {"threshold": 0.9815, "alpha": 0.01, "delta": 0.05, "coverage": 0.5}
    bundle = BUNDLE | {"gate": {"risk_controlled": rule}, "metrics": {"out_of_fold": seen}}

    with translation.override("en"):
        said = model_parts.bound(bundle)

    assert "95 in 100 confidence" in said
    assert "from 0.9815 on tells at most 1 in 100" in said
    assert f"calibrated {words}" in said
    assert model_parts.bound({"gate": {"risk_controlled": None}}) == ""


def test_a_figure_of_one_side_alone_is_no_comparison() -> None:
    found = model_limits.leak(
        {
            "image_random": {
                "members": 1,
                "by_lesion": {"malignant_auc": 0.92, "balanced_accuracy": 0.6},
                "by_image": {"malignant_auc": 0.95},
            }
        }
    )

    assert found is not None
    assert [row[1:] for row in found.table.rows] == [("0.920", "0.950")]
    assert found.version == ""


def test_real_photos_that_no_check_lets_through_are_counted_together() -> None:
    with translation.override("en"):
        found = model_parts.refusals({"refusals": {"passed": {"value": 0.975, "ci": [0.9, 1]}}})

    assert found is not None
    assert found.rows == (("real test photos, by every check together", "2.5"),)


def test_a_bundle_that_was_not_measured_so_has_no_such_tables() -> None:
    assert model_parts.added({}, members=5, views=9) is None
    assert model_parts.calibration({"calibration": {"after": {"bins": []}}}, 7) is None
    assert model_parts.refusals({}) is None
    assert model_parts.outline({}) is None
    assert model_limits.groups({}) is None
    assert model_limits.worse_photos({}) is None
    assert model_limits.leak({}) is None
