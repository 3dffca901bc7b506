"""The photos that are judged: drawn by code, or read from a folder. Loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from inference_worker.pixels import Pixels

SUFFIXES: Final = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
"""The files that count as photos, and their media types."""


def find_photos(folder: Path, count: int) -> list[Path]:
    """Return the first `count` photos in `folder`. Raises OSError."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)[:count]


def read_photos(folder: Path, count: int) -> list[Pixels]:
    """Return the first `count` photos in `folder`, uint8 height × width × 3. Raises OSError."""
    photos = []
    for path in find_photos(folder, count):
        with Image.open(path) as image:
            photos.append(np.asarray(image.convert("RGB")))
    return photos


def draw_photos(count: int) -> list[Pixels]:
    """Draw `count` lesions of several sizes at 600 × 450 px, every other one hairy."""
    return [_draw(number) for number in range(count)]


def _draw(number: int) -> Pixels:
    rng = np.random.default_rng(number)
    grain = rng.normal(0, 5, (450, 600, 1))
    pixels = np.clip(np.array([222, 178, 160]) + grain, 0, 255).astype(np.uint8)
    axes = tuple(int(axis) for axis in rng.integers(50, 150, 2))
    colour = tuple(int(value) for value in rng.integers((80, 40, 30), (150, 90, 70)))
    cv2.ellipse(pixels, (300, 225), axes, number * 30, 0, 360, colour, -1, cv2.LINE_AA)
    for _ in range(12 * (number % 2)):
        start, end = ((int(x), y) for x, y in zip(rng.integers(0, 600, 2), (0, 449), strict=True))
        cv2.line(pixels, start, end, (35, 22, 18), 3, cv2.LINE_AA)
    return pixels
