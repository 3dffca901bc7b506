"""Pictures that are no dermoscopic photos, drawn: what the bundle must refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference_worker.pixels import Pixels

HEIGHT: Final = 300
WIDTH: Final = 400


def draw(kind: str, seed: int) -> Pixels:
    """Return one of `KINDS` as uint8 300 × 400 × 3, the same for the same seed."""
    return _DRAWERS[kind](np.random.default_rng(seed))


def _noise(rng: np.random.Generator) -> Pixels:
    return np.asarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3)), np.uint8)


def _colour_noise(rng: np.random.Generator) -> Pixels:
    """Smooth clouds of every colour."""
    small = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def _plain(rng: np.random.Generator) -> Pixels:
    return np.full((HEIGHT, WIDTH, 3), rng.integers(0, 256, 3), np.uint8)


def _gradient(rng: np.random.Generator) -> Pixels:
    ends = rng.integers(0, 256, (2, 3)).astype(np.float64)
    along = np.linspace(0, 1, WIDTH)[None, :, None]
    row = ends[0] * (1 - along) + ends[1] * along
    return np.asarray(np.repeat(row, HEIGHT, axis=0), np.uint8)


def _checkerboard(rng: np.random.Generator) -> Pixels:
    side = int(rng.integers(8, 60))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    dark = ((x // side + y // side) % 2 == 0)[..., None]
    colours = rng.integers(0, 256, (2, 3))
    return np.asarray(np.where(dark, colours[0], colours[1]), np.uint8)


def _text(rng: np.random.Generator) -> Pixels:
    page = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
    for line in range(10):
        word = "".join(chr(c) for c in rng.integers(97, 123, 22))
        where = (10, 30 + 28 * line)
        cv2.putText(page, word, where, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (20, 20, 20), 2)
    return page


def _stripes(rng: np.random.Generator) -> Pixels:
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 40)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    tone = rng.uniform(60, 255, 3)
    return np.asarray((wave[..., None] * 0.5 + 0.5) * tone, np.uint8)


_DRAWERS: Final[dict[str, Callable[[np.random.Generator], Pixels]]] = {
    "noise": _noise,
    "colour_noise": _colour_noise,
    "plain": _plain,
    "gradient": _gradient,
    "checkerboard": _checkerboard,
    "text": _text,
    "stripes": _stripes,
}

KINDS: Final = tuple(_DRAWERS)
