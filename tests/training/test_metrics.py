from __future__ import annotations

import numpy as np
import pytest

from training import metrics

TRUTH = np.array([False, False, True, True])
SCORE = np.array([0.1, 0.4, 0.35, 0.8])


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    assert metrics.roc_auc(TRUTH, SCORE) == pytest.approx(0.75)
    assert np.isnan(metrics.roc_auc(np.ones(4, np.bool_), SCORE))


def test_sensitivity_and_specificity_at_a_bound() -> None:
    assert metrics.sensitivity_at(TRUTH, SCORE, 1.0) == pytest.approx(0.5)
    assert metrics.sensitivity_at(TRUTH, SCORE, 0.5) == pytest.approx(1.0)
    assert metrics.specificity_at(TRUTH, SCORE, 1.0) == pytest.approx(0.5)
    assert np.isnan(metrics.sensitivity_at(np.zeros(4, np.bool_), SCORE, 0.9))


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_present() -> None:
    labels = np.array([0, 0, 0, 0, 2])
    predicted = np.array([0, 0, 0, 1, 2])

    assert metrics.balanced_accuracy(labels, predicted) == pytest.approx((0.75 + 1) / 2)
    assert metrics.confusion(labels, predicted, 3).tolist() == [[3, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_resamples_in_which_a_figure_cannot_be_computed_are_left_out() -> None:
    sample = metrics.Sample(0.5, np.array([np.nan, 0.4, 0.6, np.nan]))
    none = metrics.Sample(float("nan"), np.full(3, np.nan))

    assert sample.figure(level=1.0) == {"value": 0.5, "ci": [0.4, 0.6]}
    assert np.isnan(none.figure()["ci"]).all()


def test_a_calibrated_score_has_no_ece_and_an_overconfident_one_has() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, 40_000)
    truth = rng.random(40_000) < p

    assert metrics.ece(truth, p) < 0.01
    assert metrics.ece(truth, np.where(p > 0.5, 0.99, 0.01)) > 0.2


def test_bins_hold_equal_numbers() -> None:
    p = np.linspace(0, 1, 150) ** 3

    bins = metrics.reliability_bins(p > 0.5, p, 15)

    assert [n for _, _, n in bins] == [10] * 15


def test_the_area_under_risk_and_coverage_rewards_knowing_when_one_is_wrong() -> None:
    truth = np.array([True, True, True, False])
    knows = np.array([0.99, 0.98, 0.97, 0.6])
    does_not = np.array([0.6, 0.7, 0.8, 0.99])

    assert metrics.aurc(truth, knows) == pytest.approx((0 + 0 + 0 + 0.25) / 4)
    assert metrics.aurc(truth, does_not) > metrics.aurc(truth, knows)


def test_overlap_of_half_and_of_nothing() -> None:
    truth = np.zeros((2, 4, 4), np.bool_)
    truth[0, :, :2] = True
    found = np.zeros_like(truth)
    found[0, :2, :2] = True

    dice, iou = metrics.overlap(found, truth)

    assert dice.tolist() == pytest.approx([2 * 4 / 12, 1.0])
    assert iou.tolist() == pytest.approx([0.5, 1.0])


def test_the_bootstrap_draws_whole_lesions() -> None:
    lesions = np.array(["a", "b", "a", "c", "b", "a"])

    for rows in metrics.bootstrap(lesions, 50, seed=1).draws:
        counts = np.bincount(rows, minlength=6)
        assert counts[0] == counts[2] == counts[5]
        assert counts[1] == counts[4]
        assert counts[0] + counts[1] + counts[3] == 3


def test_an_interval_of_lesions_is_wider_than_one_of_photos() -> None:
    rng = np.random.default_rng(0)
    value = np.repeat(rng.normal(size=40), 10)
    by_lesion = metrics.bootstrap(np.repeat(np.arange(40).astype(str), 10), 300, 1)
    by_photo = metrics.bootstrap(np.arange(400).astype(str), 300, 1)

    wide, narrow = (b.figure(lambda i: float(value[i].mean())) for b in (by_lesion, by_photo))

    assert wide["value"] == narrow["value"] == pytest.approx(value.mean())
    assert wide["ci"][1] - wide["ci"][0] > 2 * (narrow["ci"][1] - narrow["ci"][0])


def test_a_report_holds_no_number_that_json_lacks() -> None:
    report = {"a": float("nan"), "b": [(1.0, float("inf"))], "c": 2}

    assert metrics.plain(report) == {"a": None, "b": [[1.0, None]], "c": 2}
