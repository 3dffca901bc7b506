"""What happens to photos between a clinic and a computer, drawn on real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference_worker.pixels import Pixels

AS_IT_COMES: Final = "as it comes"

_QUALITY: Final = 30
_BLUR: Final = 0.006
_TURN: Final = 30.0
_CAST: Final = (1.15, 1.0, 0.85)
_HAIRS: Final = 25


def degrade(kind: str, pixels: Pixels, seed: int) -> Pixels:
    """Return a copy of `pixels` with one of `KINDS` done to it, the same for the same seed."""
    return _KINDS[kind](pixels, np.random.default_rng(seed))


def _blurred(pixels: Pixels, _: np.random.Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), _BLUR * max(pixels.shape)), np.uint8)


def _compressed(pixels: Pixels, _: np.random.Generator) -> Pixels:
    _ok, coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


def _darker(pixels: Pixels, _: np.random.Generator) -> Pixels:
    return _scaled(pixels, 0.7)


def _brighter(pixels: Pixels, _: np.random.Generator) -> Pixels:
    return _scaled(pixels, 1.3)


def _turned(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    height, width = pixels.shape[:2]
    angle = _TURN * (1 if rng.random() < 0.5 else -1)  # noqa: PLR2004 - even odds
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    turned = cv2.warpAffine(pixels, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(turned, np.uint8)


def _hairy(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Draw dark, curved strokes across the photo."""
    found = pixels.copy()
    height, width = found.shape[:2]
    thickness = max(1, round(0.004 * width))
    for _hair in range(_HAIRS):
        start, end = rng.uniform(0, 1, (2, 2)) * (width, height)
        bend = (start + end) / 2 + rng.normal(0, 0.15, 2) * (width, height)
        t = np.linspace(0, 1, 24)[:, None]
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
        tone = [int(v) for v in rng.integers(10, 60) + np.array([14, 6, 0])]
        cv2.polylines(found, [curve.round().astype(np.int32)], False, tone, thickness, cv2.LINE_AA)
    return np.asarray(found, np.uint8)


def _cornered(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Draw what a dermatoscope's round field leaves black."""
    height, width = pixels.shape[:2]
    y, x = np.ogrid[:height, :width]
    radius = rng.uniform(0.44, 0.5) * float(np.hypot(height, width))
    inside = np.hypot(x - width / 2, y - height / 2) - radius
    shade = np.clip(1 - inside / (0.01 * width), 0.04, 1)
    return np.asarray(pixels * np.where(inside < 0, 1, shade)[..., None], np.uint8)


def _cast(pixels: Pixels, _: np.random.Generator) -> Pixels:
    return np.asarray(np.clip(pixels * np.array(_CAST), 0, 255), np.uint8)


def _scaled(pixels: Pixels, gain: float) -> Pixels:
    return np.asarray(np.clip(pixels * gain, 0, 255), np.uint8)


_KINDS: Final[dict[str, Callable[[Pixels, np.random.Generator], Pixels]]] = {
    AS_IT_COMES: lambda pixels, _: pixels,
    "blur": _blurred,
    "JPEG 30": _compressed,
    "30% darker": _darker,
    "30% brighter": _brighter,
    "turned by 30°": _turned,
    "hair drawn on": _hairy,
    "corners drawn on": _cornered,
    "warm colour cast": _cast,
}

KINDS: Final = tuple(_KINDS)
