"""An ensemble's temperature, from that of its members and photos that none of them saw."""

import numpy as np
import pytest

from training.sharpening import sharpening, slope

_N = 20_000


def _opinions(noise: float, members: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw truths, and members that each see them through noise, most of which they share."""
    rng = np.random.default_rng(3)
    truth = rng.random(_N) < 0.3
    shared = rng.normal(0, noise * 0.8**0.5, _N)
    own = rng.normal(0, noise * 0.2**0.5, (members, _N))
    seen = np.where(truth, 1.0, -1.0) + shared + own
    # The posterior log-odds of a Gaussian observation: honest, each for itself.
    odds = 2 * seen / noise**2 + np.log(0.3 / 0.7)
    return truth, 1 / (1 + np.exp(-odds))


def test_an_honest_opinion_has_a_calibration_slope_of_one() -> None:
    truth, p = _opinions(1.5, 1)

    assert slope(truth, p[0]) == pytest.approx(1.0, abs=0.05)


def test_a_timid_opinion_has_a_slope_above_one_and_its_prevalence_does_not_matter() -> None:
    truth, p = _opinions(1.5, 1)
    odds = np.log(p[0] / (1 - p[0]))

    assert slope(truth, 1 / (1 + np.exp(-odds / 2 - 1))) == pytest.approx(2.0, abs=0.1)


def test_the_mean_of_honest_members_may_be_bolder() -> None:
    truth, p = _opinions(1.5, 5)

    found = sharpening("drawn", truth, p)

    assert np.mean(found.members) == pytest.approx(1.0, abs=0.05)
    assert found.ratio > 1.1
    bold = p.mean(0) ** found.ratio / (p.mean(0) ** found.ratio + (1 - p.mean(0)) ** found.ratio)
    assert slope(truth, bold) == pytest.approx(1.0, abs=0.05)


def test_members_that_agree_in_all_leave_the_temperature_as_it_is() -> None:
    truth, p = _opinions(1.5, 1)

    assert sharpening("drawn", truth, np.repeat(p, 3, 0)).ratio == pytest.approx(1.0)


@pytest.mark.parametrize("truth", [np.zeros(50, bool), np.ones(50, bool), np.arange(50) < 25])
def test_members_that_know_nothing_leave_the_temperature_as_it_is(truth: np.ndarray) -> None:
    p = np.tile(np.where(truth, 0.3, 0.7) if 0 < truth.sum() < 50 else np.full(50, 0.4), (2, 1))

    assert sharpening("drawn", truth, p).ratio == 1.0
