"""What is measured of a photo, and which photos are refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference_worker import quality
from inference_worker.verdict import Rejection
from tests.inference_worker import drawing

LIMITS = quality.Limits(
    min_short_side=96, min_sharpness=20.0, min_brightness=0.2, max_brightness=0.95
)


def judge(pixels: np.ndarray) -> Rejection | None:
    return quality.judge(quality.measure(pixels), LIMITS)


def test_a_sharp_photo_of_a_lesion_passes() -> None:
    assert judge(drawing.with_hairs(drawing.lesion(200, 150))) is None


def test_a_short_side_of_96_pixels_passes_and_95_does_not() -> None:
    assert judge(drawing.with_hairs(drawing.lesion(128, 96))) is None
    assert judge(drawing.with_hairs(drawing.lesion(128, 95))) is Rejection.TOO_SMALL


def test_a_blurred_photo_is_refused() -> None:
    blurred = cv2.GaussianBlur(drawing.with_hairs(drawing.lesion()), (0, 0), 15)
    assert judge(blurred) is Rejection.BLURRED


def test_a_dark_photo_is_called_dark_and_not_blurred() -> None:
    assert judge((drawing.lesion() * 0.15).astype(np.uint8)) is Rejection.TOO_DARK


def test_a_white_photo_is_too_bright() -> None:
    assert judge(np.full((300, 400, 3), 252, np.uint8)) is Rejection.TOO_BRIGHT


def test_a_value_on_its_limit_passes() -> None:
    measured = quality.Measured(short_side=96, sharpness=20.0, brightness=0.2)
    assert quality.judge(measured, LIMITS) is None
    bright = quality.Measured(short_side=96, sharpness=20.0, brightness=0.95)
    assert quality.judge(bright, LIMITS) is None


def test_sharpness_does_not_depend_on_how_many_pixels_the_camera_has() -> None:
    large = drawing.with_hairs(drawing.lesion(2400, 1800))
    small = cv2.resize(large, (600, 450), interpolation=cv2.INTER_AREA)
    ratio = quality.measure(large).sharpness / quality.measure(small).sharpness
    assert ratio == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("level", [0, 64, 255])
def test_brightness_is_a_share(level: int) -> None:
    brightness = quality.measure(np.full((100, 100, 3), level, np.uint8)).brightness
    assert 0 <= brightness <= 1
    assert brightness == pytest.approx({0: 0.0, 64: 0.27, 255: 1.0}[level], abs=0.01)


def test_hair_and_corners_are_noted() -> None:
    clean = drawing.lesion()
    assert quality.notes(clean) == ()
    assert quality.notes(drawing.with_hairs(clean, count=16)) == ("hair",)
    assert quality.notes(drawing.with_black_corners(clean)) == ("corners",)
