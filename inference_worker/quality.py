"""Whether a photo is good enough to be judged, measured at one fixed size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from inference_worker.field_of_view import dark_corners
from inference_worker.pixels import check
from inference_worker.preprocessing import BlackCorners, Hair, hair_mask, shrink
from inference_worker.verdict import Rejection

if TYPE_CHECKING:
    from inference_worker.pixels import Pixels

WORKING_SIDE: Final = 192
"""The long side, in px, at which sharpness and brightness are measured: near what networks see."""

NOTES_SIDE: Final = 320
"""The long side, in px, at which hair and corners are looked for."""

MIN_HAIR_SHARE: Final = 0.03
MIN_CORNER_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Limits:
    """A bundle's limits, in the units of `Measured`; a value on a limit passes."""

    min_short_side: int
    min_sharpness: float
    min_brightness: float
    max_brightness: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a photo.

    `short_side` px as it came; `sharpness` variance of the Laplacian of the gray levels (0–255;
    Pech-Pacheco 2000) and `brightness` mean of L of LAB in [0, 1], both at `WORKING_SIDE`.
    """

    short_side: int
    sharpness: float
    brightness: float


def measure(pixels: Pixels) -> Measured:
    """Measure a photo, uint8 height × width × 3 RGB. Raises `InvalidPixelsError`."""
    check(pixels)
    small = shrink(pixels, WORKING_SIDE)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    lightness = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)[..., 0]
    return Measured(
        short_side=min(pixels.shape[:2]),
        sharpness=float(np.var(np.asarray(cv2.Laplacian(gray, cv2.CV_64F)))),
        brightness=float(lightness.mean() / 255),
    )


def judge(measured: Measured, limits: Limits) -> Rejection | None:
    """Return why the photo cannot be used, or None. Values on a limit pass.

    Brightness comes before sharpness: a dark photo looks blurred, and more light mends both.
    """
    if measured.short_side < limits.min_short_side:
        return Rejection.TOO_SMALL
    if measured.brightness < limits.min_brightness:
        return Rejection.TOO_DARK
    if measured.brightness > limits.max_brightness:
        return Rejection.TOO_BRIGHT
    if measured.sharpness < limits.min_sharpness:
        return Rejection.BLURRED
    return None


def notes(pixels: Pixels) -> tuple[str, ...]:
    """Return codes of what may disturb the model but does not stop it: ``hair``, ``corners``."""
    small = shrink(pixels, NOTES_SIDE)
    found = []
    if hair_mask(small, Hair()).mean() >= MIN_HAIR_SHARE:
        found.append("hair")
    if dark_corners(small, BlackCorners().threshold).mean() >= MIN_CORNER_SHARE:
        found.append("corners")
    return tuple(found)
