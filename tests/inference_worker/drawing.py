"""Photos drawn by code: skin, a lesion, hairs, a dermatoscope's black corners."""

from __future__ import annotations

import cv2
import numpy as np

SKIN = (222, 178, 160)
LESION = (110, 62, 45)


def skin(width: int = 600, height: int = 450, seed: int = 0) -> np.ndarray:
    """Draw even skin with fine grain."""
    grain = np.random.default_rng(seed).normal(0, 4, (height, width, 1))
    return np.clip(np.asarray(SKIN) + grain, 0, 255).astype(np.uint8)


def lesion(
    width: int = 600,
    height: int = 450,
    centre: tuple[float, float] = (0.5, 0.5),
    radius: float = 0.22,
    colour: tuple[int, int, int] = LESION,
) -> np.ndarray:
    """Draw a round lesion; `centre` in shares of the frame, `radius` of its short side."""
    pixels = skin(width, height)
    middle = (round(centre[0] * width), round(centre[1] * height))
    cv2.circle(pixels, middle, round(radius * min(width, height)), colour, -1, cv2.LINE_AA)
    return pixels


def with_hairs(pixels: np.ndarray, count: int = 8) -> np.ndarray:
    """Draw dark hairs from edge to edge."""
    drawn = pixels.copy()
    height, width = drawn.shape[:2]
    thickness = max(1, round(max(width, height) / 200))
    for index in range(count):
        start = (round(width * (index + 0.5) / count), 0)
        end = (round(width * (((index * 3) % count) + 0.5) / count), height - 1)
        cv2.line(drawn, start, end, (35, 22, 18), thickness, cv2.LINE_AA)
    return drawn


def with_black_corners(pixels: np.ndarray, radius: float = 0.58) -> np.ndarray:
    """Blacken what lies outside a circle; `radius` in shares of the short side."""
    height, width = pixels.shape[:2]
    inside = np.zeros((height, width), np.uint8)
    cv2.circle(inside, (width // 2, height // 2), round(radius * min(width, height)), 1, -1)
    return pixels * inside[..., None]


def photo() -> np.ndarray:
    """Draw the photo that most tests are about: a lesion under hairs, uint8 225 × 300 × 3."""
    return with_hairs(lesion(300, 225))
