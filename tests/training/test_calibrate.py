from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference_worker import quality
from inference_worker.calibration import temper
from tests.training import drawn
from training import calibrate, impostors


def test_the_temperature_undoes_a_known_overconfidence() -> None:
    rng = np.random.default_rng(0)
    honest = rng.dirichlet(np.ones(3), 20_000)
    labels = (honest.cumsum(1) > rng.random((20_000, 1))).argmax(1)

    assert calibrate.temperature(labels, temper(honest, 0.5)) == pytest.approx(2.0, rel=0.05)
    assert calibrate.temperature(labels, honest) == pytest.approx(1.0, rel=0.05)


def test_what_lies_off_the_training_features_is_far() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 40)) * np.repeat([3.0, 0.1], [8, 32])

    statistics = calibrate.ood_statistics(features, components=8)
    near = calibrate.distances(statistics, features)
    far = calibrate.distances(statistics, features + np.eye(40)[-1] * 5)

    assert np.median(near) == pytest.approx(1.0, abs=0.2)
    assert far.min() > np.quantile(near, 0.99)


def test_an_axis_is_weighed_by_its_own_spread() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 10)) * np.array([10.0, *[0.1] * 9])

    statistics = calibrate.ood_statistics(features, components=2)

    along = statistics.distance(statistics.mean + np.eye(10)[0] * 10)
    across = statistics.distance(statistics.mean + np.eye(10)[5] * 10)
    assert across > 50 * along


def test_quality_limits_pass_real_photos_and_stop_ruined_ones() -> None:
    photos = [drawn.lesion(seed, (200, 150))[0] for seed in range(12)]

    limits = calibrate.quality_limits(photos, np.full(12, 0.1))

    measured = quality.measure(photos[0])
    assert measured.sharpness > limits.min_sharpness
    assert limits.min_brightness < measured.brightness < limits.max_brightness
    blurred = quality.measure(np.asarray(cv2.GaussianBlur(photos[0], (0, 0), 8), np.uint8))
    assert blurred.sharpness < limits.min_sharpness
    assert quality.measure(photos[0] // 8).brightness < limits.min_brightness
    assert limits.min_lesion_share == 0.01


def test_drawn_skin_has_its_colours_a_texture_and_no_lesion() -> None:
    for seed in range(20):
        skin = impostors.draw("skin", seed).astype(np.float64)
        red, green, blue = skin.mean((0, 1))
        assert red > green > blue
        assert 2 < skin.std((0, 1)).mean() < 40
        middle, edge = skin[100:200, 130:270].mean(), skin[:40].mean()
        assert abs(middle - edge) < 0.15 * edge


@pytest.mark.parametrize("kind", impostors.KINDS)
def test_an_impostor_is_drawn_the_same_for_the_same_seed(kind: str) -> None:
    first, again, other = (impostors.draw(kind, seed) for seed in (1, 1, 2))

    assert first.shape == (impostors.HEIGHT, impostors.WIDTH, 3)
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert (first != other).any()
