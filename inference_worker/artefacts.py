"""What people leave on skin before the photo: ink of a surgical marker, sticking plasters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from inference_worker.pixels import Mask, Pixels

INK_HUES: Final = (70, 330)
"""Degrees: green over blue to violet. Skin, blood and pigment lie on the other side, about red."""

_FLATNESS_SIDE: Final = 0.012
_FRAME: Final = 3  # px
_MIN_EDGE_SHARE: Final = 0.5
_EDGE_LEVELS: Final = 18.0


def ink_mask(pixels: Pixels, *, saturation: float, min_length: float) -> Mask:
    """Return where ink is: strongly coloured strokes of a hue that skin and pigment do not have.

    `saturation` in [0, 1] from which a pixel is strongly coloured; a region shorter than
    `min_length` of the long side is no stroke. A blue-white veil is blue too, but pale.
    """
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    hue = hsv[..., 0].astype(np.float32) * 2
    coloured = (hsv[..., 1] >= saturation * 255) & (hsv[..., 2] >= 40)  # noqa: PLR2004 - not black
    found = coloured & (hue >= INK_HUES[0]) & (hue <= INK_HUES[1])
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    length = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    kept = length >= min_length * max(pixels.shape[:2])
    kept[0] = False
    strokes = np.asarray(kept[labels], np.uint8) if count > 1 else np.zeros(labels.shape, np.uint8)
    # Ink bleeds: its pale rim is ink too.
    reach = 2 * max(1, round(0.006 * max(pixels.shape[:2]))) + 1
    return np.asarray(cv2.dilate(strokes, np.ones((reach, reach), np.uint8)) > 0)


def plaster_mask(pixels: Pixels, *, min_share: float, max_share: float) -> Mask:
    """Return where a sticking plaster is: a flat beige patch at the frame's edge, sharply bounded.

    Skin is beige too, but it is not cut off by a straight, sharp edge, and not only a part of the
    frame: a patch of less than `min_share` or more than `max_share` of the frame is none.
    """
    flat = _flat(pixels) & _beige(pixels)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(flat.astype(np.uint8))
    edge = _edge_strength(pixels) >= _EDGE_LEVELS
    share = stats[:, cv2.CC_STAT_AREA] / flat.size
    found = np.zeros(flat.shape, np.bool_)
    for label in range(1, count):
        if not min_share <= share[label] <= max_share:
            continue
        patch = labels == label
        if _at_frame(patch) and _bounded(patch, edge):
            reach = 2 * max(2, round(2 * _FLATNESS_SIDE * max(flat.shape))) + 1
            found |= cv2.dilate(patch.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    return found


def _flat(pixels: Pixels) -> Mask:
    """Return where gray levels hardly differ from their neighbours'."""
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    side = 2 * max(1, round(_FLATNESS_SIDE * max(gray.shape))) + 1
    mean = cv2.blur(gray, (side, side))
    variance = cv2.blur(gray * gray, (side, side)) - mean * mean
    return np.asarray(variance < 6.0)  # noqa: PLR2004 - squared gray levels


def _beige(pixels: Pixels) -> Mask:
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    low, high = np.array([4, 25, 130], np.uint8), np.array([24, 150, 255], np.uint8)
    return np.asarray(cv2.inRange(hsv, low, high) > 0)


def _edge_strength(pixels: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the greatest change of any channel within a small square."""
    kernel = np.ones((5, 5), np.uint8)
    change = cv2.dilate(pixels, kernel).astype(np.float32) - cv2.erode(pixels, kernel)
    return np.asarray(change.max(axis=2))


def _at_frame(patch: Mask) -> bool:
    n = _FRAME
    sides = (patch[:n], patch[-n:], patch[:, :n], patch[:, -n:])
    return any(bool(side.any()) for side in sides)


def _bounded(patch: Mask, edge: Mask) -> bool:
    """Tell whether most of the patch's boundary within the frame is a sharp edge."""
    reach = 2 * max(3, round(2 * _FLATNESS_SIDE * max(patch.shape))) + 1
    wide = cv2.dilate(patch.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    rim = wide & ~patch
    near = cv2.dilate(edge.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    return bool(rim.any()) and float(near[rim].mean()) >= _MIN_EDGE_SHARE
