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


def _skin(rng: np.random.Generator) -> Pixels:
    """Skin without a lesion: its colours, the net of fine furrows, pores, light from one side."""
    tone = np.array([222, 178, 154]) * rng.uniform(0.45, 1.05) + rng.uniform(-8, 8, 3)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    angle = rng.uniform(0, np.pi)
    towards = (x - WIDTH / 2) * np.cos(angle) + (y - HEIGHT / 2) * np.sin(angle)
    light = 1 + rng.uniform(0.05, 0.2) * towards / (WIDTH / 2)
    blotches = cv2.resize(rng.normal(0, 1, (6, 8)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH)), (0, 0), rng.uniform(0.8, 1.6))
    furrows = np.zeros((HEIGHT, WIDTH))
    for turn in (0.0, np.pi / 3, 2 * np.pi / 3):
        own = angle + turn + rng.uniform(-0.15, 0.15)
        along = x * np.cos(own) + y * np.sin(own) + 4 * blotches
        furrows += np.maximum(0, np.sin(along * 2 * np.pi / rng.uniform(9, 16))) ** 8
    shade = light * (1 + 0.03 * blotches + 0.04 * grain - 0.04 * furrows)
    red = np.array([0.3, -0.5, -0.4]) * 5 * blotches[..., None]
    return np.asarray(np.clip(tone * shade[..., None] + red, 0, 255), np.uint8)


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
    "skin": _skin,
    "gradient": _gradient,
    "checkerboard": _checkerboard,
    "text": _text,
    "stripes": _stripes,
}

KINDS: Final = tuple(_DRAWERS)
