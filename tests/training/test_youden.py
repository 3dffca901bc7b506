from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from training import youden


def test_youdens_threshold_is_where_the_roc_curve_is_farthest_from_chance() -> None:
    rng = np.random.default_rng(4)
    truth = rng.random(500) < 0.2
    score = np.round(rng.normal(truth * 1.5), 1)

    found = youden.threshold(truth, score)

    false, true, _ = roc_curve(truth, score)
    assert found["j"] == pytest.approx((true - false).max())
    called = score >= found["threshold"]
    assert called[truth].mean() == pytest.approx(found["sensitivity"])
    assert (~called[~truth]).mean() == pytest.approx(found["specificity"])
    assert found["sensitivity"] + found["specificity"] - 1 == pytest.approx(found["j"])


def test_of_equal_thresholds_the_one_that_misses_fewest_is_taken() -> None:
    truth = np.array([False, True, False, True])

    found = youden.threshold(truth, np.array([0.1, 0.2, 0.3, 0.4]))

    assert found["sensitivity"] == 1.0
    assert found["threshold"] == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("truth", "score"), [([True, True], [0.1, 0.2]), ([True, False], [0.5, 0.5])]
)
def test_without_two_kinds_or_two_scores_there_is_no_threshold(
    truth: list[bool], score: list[float]
) -> None:
    with pytest.raises(ValueError, match="Youden's J needs"):
        youden.threshold(np.array(truth), np.array(score))
