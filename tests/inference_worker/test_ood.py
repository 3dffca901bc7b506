"""The distance from the training photos, against the textbook's."""

from __future__ import annotations

import numpy as np
import pytest

from inference_worker.errors import NonFiniteError, WrongOutputError
from inference_worker.ood import Statistics

D = 6


def fitted(rank: int) -> tuple[Statistics, np.ndarray]:
    """Return statistics with `rank` components of drawn features, and their covariance."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(4000, D)) @ rng.normal(size=(D, D)) + 3
    covariance = np.cov(features.T)
    values, vectors = np.linalg.eigh(covariance)
    order = values.argsort()[::-1]
    kept, left = order[:rank], order[rank:]
    residual = float(values[left].mean()) if len(left) else 1.0
    statistics = Statistics(features.mean(axis=0), vectors[:, kept].T, values[kept], residual)
    return statistics, covariance


def test_with_every_component_it_is_the_mahalanobis_distance() -> None:
    statistics, covariance = fitted(D)
    point = statistics.mean + np.array([1.0, -2.0, 0.5, 3.0, 0.0, -1.0])
    offset = point - statistics.mean
    expected = np.sqrt(offset @ np.linalg.inv(covariance) @ offset / D)
    assert statistics.distance(point) == pytest.approx(expected)


def test_the_middle_of_the_training_photos_has_no_distance() -> None:
    statistics, _ = fitted(3)
    assert statistics.distance(statistics.mean) == 0


def test_what_the_components_leave_out_counts_too() -> None:
    statistics, _ = fitted(2)
    direction = np.linalg.svd(statistics.components)[2][-1]
    assert statistics.components @ direction == pytest.approx(0, abs=1e-9)
    far = statistics.distance(statistics.mean + 5 * direction)
    assert far == pytest.approx(5 / np.sqrt(statistics.residual_variance * D))


def test_features_of_another_network_are_refused() -> None:
    with pytest.raises(WrongOutputError, match="distribution"):
        fitted(2)[0].distance(np.zeros(D + 1))


def test_what_is_not_a_number_has_no_distance() -> None:
    with pytest.raises(NonFiniteError, match="distribution"):
        fitted(2)[0].distance(np.full(D, np.nan))
