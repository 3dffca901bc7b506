"""What is filled in a photo is bounded, however dark or hairy it is: the work is counted here.

Filling costs time by the pixels that are filled and by the square of the radius; finding what to
fill, by the pixels looked at. So these are counted, and no time is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest

from inference_worker import preprocessing
from inference_worker.preprocessing import WORKING_SIDE, BlackCorners, Hair, Ink, Plasters
from tests.inference_worker import drawing

STEPS = [(name, {}) for name in preprocessing.NAMES]


@dataclass(frozen=True)
class Filling:
    """One call of the inpainting."""

    looked_at: int
    filled: int
    radius: float
    method: int


@pytest.fixture
def fillings(monkeypatch: pytest.MonkeyPatch) -> list[Filling]:
    """Note what is filled, and fill it."""
    noted: list[Filling] = []
    inpaint = cv2.inpaint

    def note(pixels: np.ndarray, mask: np.ndarray, radius: float, method: int) -> Any:
        noted.append(Filling(mask.size, int((mask > 0).sum()), radius, method))
        return inpaint(pixels, mask, radius, method)

    monkeypatch.setattr(cv2, "inpaint", note)
    return noted


def lines(width: int, height: int, every: int, thickness: int) -> np.ndarray:
    """Draw dark lines across the whole frame, both ways."""
    pixels = drawing.skin(width, height)
    for at in range(0, max(width, height), every):
        pixels[at : at + thickness] = pixels[:, at : at + thickness] = (30, 20, 15)
    return pixels


def noise(low: int, high: int) -> np.ndarray:
    return np.random.default_rng(3).integers(low, high, (900, 1200, 3), dtype=np.uint8)


def stripes() -> np.ndarray:
    pixels = drawing.skin(1200, 900)
    pixels.reshape(90, 10, 1200, 3)[:, :3] = (30, 20, 15)
    return pixels


HARD: dict[str, Callable[[], np.ndarray]] = {
    "black": lambda: np.zeros((900, 1200, 3), np.uint8),
    "dark": lambda: np.full((900, 1200, 3), 12, np.uint8),
    "dark and grainy": lambda: noise(0, 45),
    "noise": lambda: noise(0, 256),
    "a fur": lambda: drawing.with_hairs(drawing.skin(2400, 1800), count=40),
    "a grid": lambda: lines(1200, 900, every=20, thickness=4),
    "stripes": stripes,
    "a keyhole": lambda: drawing.with_black_corners(drawing.skin(1200, 900), radius=0.32),
    "a black lesion in black corners": lambda: drawing.with_black_corners(
        drawing.lesion(1200, 900, radius=0.45, colour=(15, 10, 9))
    ),
    "a slit": lambda: drawing.with_hairs(drawing.skin(6000, 96), count=400),
    "blue": lambda: np.full((900, 1200, 3), (40, 60, 220), np.uint8),
    "large": lambda: drawing.with_hairs(drawing.skin(5700, 4300), count=60),
}


@pytest.mark.parametrize("kind", HARD)
def test_no_photo_costs_more_than_the_stated_shares_of_the_working_size(
    kind: str, fillings: list[Filling]
) -> None:
    cleaned = preprocessing.apply(HARD[kind](), STEPS)
    assert cleaned.dtype == np.uint8
    assert len(fillings) <= 4
    most = max(step.max_share for step in (Hair(), Ink(), Plasters()))
    for filling in fillings:
        if filling.method == cv2.INPAINT_NS:
            assert filling.looked_at <= (WORKING_SIDE // 2) ** 2
            assert filling.filled <= BlackCorners().max_share * filling.looked_at
            assert filling.radius <= BlackCorners().radius / 2
        else:
            assert filling.looked_at <= WORKING_SIDE**2
            assert filling.filled <= most * filling.looked_at
            assert filling.radius <= Plasters().radius


@pytest.mark.parametrize("kind", ["a fur", "a grid", "stripes"])
def test_of_much_hair_the_stated_share_is_filled_and_no_more(
    kind: str, fillings: list[Filling]
) -> None:
    preprocessing.remove_hair(HARD[kind]())
    (filling,) = fillings
    assert 0.8 * Hair().max_share < filling.filled / filling.looked_at <= Hair().max_share


@pytest.mark.parametrize("kind", ["black", "dark"])
def test_in_a_photo_that_is_dark_all_over_nothing_is_filled(
    kind: str, fillings: list[Filling]
) -> None:
    photo = HARD[kind]()
    assert np.array_equal(preprocessing.remove_hair(photo), photo)
    assert np.array_equal(preprocessing.fill_black_corners(photo), photo)
    assert fillings == []


def test_corners_that_are_most_of_the_frame_are_left(fillings: list[Filling]) -> None:
    keyhole = HARD["a keyhole"]()
    assert (keyhole.max(axis=2) < 50).mean() > BlackCorners().max_share
    assert np.array_equal(preprocessing.fill_black_corners(keyhole), keyhole)
    assert fillings == []


def test_a_photo_ten_times_as_large_costs_no_more(fillings: list[Filling]) -> None:
    for width, height in ((600, 450), (6000, 4500)):
        preprocessing.remove_hair(drawing.with_hairs(drawing.skin(width, height)))
    small, large = fillings
    assert small.looked_at == large.looked_at
    assert 0 < large.filled <= 1.25 * small.filled
