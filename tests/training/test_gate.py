from __future__ import annotations

import numpy as np
import pytest
from mapie.risk_control import BinaryClassificationController

from training import gate

# 100 malignant and 100 benign cases; see each test for what they score.
MALIGNANT = np.repeat([True, False], 100)


def test_a_deferred_case_is_in_a_column_of_its_own() -> None:
    malignant = np.array([True, True, True, True, False, False])
    p = np.array([0.99, 0.995, 0.5, 0.005, 0.001, 0.6])

    found = gate.table(malignant, p, 0.99)

    assert found.malignant == (1, 1, 2)
    assert found.benign == (1, 1, 0)
    assert found.coverage == pytest.approx(4 / 6)
    assert found.selective_sensitivity == pytest.approx(2 / 3)
    assert found.sensitivity_deferred_missed == pytest.approx(2 / 4)
    assert found.sensitivity_deferred_referred == pytest.approx(3 / 4)
    assert found.selective_specificity == 1.0


def test_a_threshold_of_one_half_decides_everything() -> None:
    p = np.linspace(0.01, 0.99, 200)

    assert gate.table(MALIGNANT, p, 0.5).coverage == 1.0


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    # No event in 300 trials: 1 − 0.05^(1/300).
    assert gate.upper_bound(0, 300, 0.05) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert gate.upper_bound(5, 5, 0.05) == 1.0


def test_an_interval_of_a_rate_is_the_exact_one() -> None:
    # Clopper and Pearson's own table: 1 of 10, and none of 10: 1 − 0.025^(1/10).
    assert gate.interval(1, 10) == pytest.approx((0.0025, 0.4450), abs=1e-4)
    assert gate.interval(0, 10) == (0.0, pytest.approx(1 - 0.025**0.1))
    assert gate.interval(10, 10)[1] == 1.0


def test_a_row_tells_each_share_with_its_interval_but_for_shares_of_nothing() -> None:
    malignant = np.array([True] * 10 + [False] * 30)
    p = np.where(malignant, 0.6, 0.001)

    row = gate.table(malignant, p, 0.99).to_dict()

    assert row["ci"]["coverage"] == list(gate.interval(30, 40))
    assert row["ci"]["selective_specificity"] == list(gate.interval(30, 30))
    assert row["ci"]["sensitivity_deferred_missed"] == list(gate.interval(0, 10))
    assert row["ci"]["sensitivity_deferred_referred"] == list(gate.interval(10, 10))
    assert "selective_sensitivity" not in row["ci"]


def test_the_interval_of_selective_sensitivity_is_of_the_decided() -> None:
    malignant = np.array([True] * 10)
    p = np.array([0.999] * 4 + [0.001] * 2 + [0.5] * 4)

    row = gate.table(malignant, p, 0.99).to_dict()

    assert row["ci"]["selective_sensitivity"] == list(gate.interval(4, 6))
    assert row["ci"]["sensitivity_deferred_missed"] == list(gate.interval(4, 10))
    assert row["ci"]["sensitivity_deferred_referred"] == list(gate.interval(8, 10))


def test_too_few_malignant_cases_certify_nothing() -> None:
    p = np.where(MALIGNANT, 0.9, 0.1)

    assert gate.certify(MALIGNANT, p) is None


def test_enough_cases_certify_the_lowest_threshold_that_misses_few() -> None:
    malignant = np.repeat([True, False], [1000, 1000])
    p = np.where(malignant, 0.9, 0.1)
    p[:30] = 0.2  # decided benign by any threshold up to 0.8
    p[:3] = 0.05  # and these up to 0.95

    found = gate.certify(malignant, p)

    assert found is not None
    assert found.threshold == pytest.approx(0.8005)
    assert found.coverage == gate.table(malignant, p, found.threshold).coverage


def test_the_certified_risk_holds_on_new_cases_as_often_as_promised() -> None:
    rng = np.random.default_rng(5)
    broken = 0
    for _ in range(100):
        malignant = rng.random(3000) < 0.3
        p = np.clip(rng.normal(np.where(malignant, 0.75, 0.2), 0.15), 0, 1)
        found = gate.certify(malignant, p)
        if found is None:
            continue
        fresh = np.clip(rng.normal(0.75, 0.15, 20_000), 0, 1)
        broken += float((1 - fresh >= found.threshold).mean()) > 0.01

    assert broken <= 10


@pytest.mark.parametrize("seed", range(3))
def test_what_mapie_certifies_is_certified_here_too(seed: int) -> None:
    """MAPIE's bound holds for any loss in [0, 1]; for a yes or no the binomial one is tighter."""
    rng = np.random.default_rng(seed)
    malignant = rng.random(5000) < 0.3
    p = np.clip(rng.normal(np.where(malignant, 0.75, 0.2), 0.15), 0.001, 0.999)
    # Not decided benign at threshold t: p > 1 − t. Its recall is one less our risk.
    cuts = np.round(np.arange(0.0005, 0.5, 0.0005), 4)
    controller = BinaryClassificationController(
        predict_function=lambda x: np.column_stack([1 - x[:, 0], x[:, 0]]),
        risk="recall",
        target_level=0.99,
        confidence_level=0.95,
        best_predict_param_choice="precision",
        list_predict_params=cuts,
        fwer_method="fixed_sequence",
    )

    controller.calibrate(p[:, None], malignant.astype(int))
    ours = gate.certify(malignant, p)

    assert len(controller.valid_predict_params)
    assert ours is not None
    strictest = 1 - float(np.max(controller.valid_predict_params))
    assert ours.threshold <= strictest + 1e-9
    assert ours.threshold == pytest.approx(strictest, abs=0.05)
