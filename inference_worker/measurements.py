"""ABCD measurements of a lesion: asymmetry, border, colours, diameter.

After the ABCD rule of dermoscopy (Stolz 1994, Nachbar 1994), each as one number from the mask. They
describe; no decision rests on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from inference_worker.verdict import Measurements

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference_worker.pixels import Mask, Pixels
    from inference_worker.segmentation import Lesion

COLOURS: Final = {
    "white": (240, 232, 226),
    "red": (190, 72, 72),
    "light_brown": (188, 130, 86),
    "dark_brown": (98, 58, 42),
    "blue_grey": (98, 112, 136),
    "black": (32, 26, 26),
}
"""The six colours of the ABCD rule, as sRGB points chosen here: no standard gives any."""

MAX_COLOUR_DISTANCE: Final = 28.0
"""The farthest that a pixel may lie from its colour, CIE76 ΔE in LAB."""

MIN_COLOUR_SHARE: Final = 0.05
"""The share of the lesion from which a colour counts as present (after Kasmi 2016)."""

_SMOOTHING: Final = 2.0  # px along the contour: its staircase would lengthen the perimeter


def measure(lesion: Lesion, pixels: Pixels) -> Measurements:
    """Measure `lesion`; `pixels` show its canvas: uint8, canvas height × width × 3 RGB."""
    contour = _contour(lesion.mask)
    return Measurements(
        area_share=lesion.share,
        asymmetry=asymmetry(lesion.mask),
        border=border_irregularity(contour),
        colours=count_colours(pixels, lesion.mask),
        diameter_px=feret_diameter(contour) * lesion.canvas.scale,
    )


def asymmetry(mask: Mask) -> float:
    """Return how much of the lesion has no mirror image, in [0, 1]; 0 for an ellipse.

    The mask is folded about each of its two principal axes through its centroid; what does not meet
    its like, over twice the area, averaged over both axes (after Ganster 2001).
    """
    rows, columns = np.nonzero(mask)
    points = np.stack([columns, rows], axis=1).astype(np.float64)
    centre = points.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((points - centre).T) if len(points) > 1 else np.eye(2))
    reach = int(np.ceil(np.hypot(*(points - centre).T).max())) + 1
    side = 2 * reach + 1
    to_axes = axes.T
    shift = np.array([reach, reach]) - to_axes @ centre
    folded = cv2.warpAffine(
        mask.astype(np.float32), np.column_stack([to_axes, shift]), (side, side)
    )
    unlike = [np.abs(folded - np.flip(folded, axis)).sum() for axis in (0, 1)]
    return float(np.clip(np.mean(unlike) / (2 * folded.sum()), 0, 1))


def border_irregularity(contour: NDArray[np.float32]) -> float:
    """Return P² / (4πA) of the closed `contour` (n × 2), ≥ 1; 1 for a circle (Golston 1992)."""
    area = cv2.contourArea(contour)
    perimeter = cv2.arcLength(contour, closed=True)
    return max(1.0, float(perimeter**2 / (4 * np.pi * area))) if area > 0 else 1.0


def count_colours(pixels: Pixels, mask: Mask) -> int:
    """Return how many of the six `COLOURS` the lesion shows, 0–6.

    A pixel has the nearest colour, where that is within `MAX_COLOUR_DISTANCE`; a colour counts from
    `MIN_COLOUR_SHARE` of the lesion.
    """
    if not mask.any():
        return 0
    references = _lab(np.array([list(COLOURS.values())], np.uint8))[0]
    lesion = _lab(pixels[mask][None])[0]
    distances = np.linalg.norm(lesion[:, None] - references[None], axis=2)
    nearest = distances.argmin(axis=1)
    near = distances.min(axis=1) <= MAX_COLOUR_DISTANCE
    shares = np.bincount(nearest[near], minlength=len(COLOURS)) / len(lesion)
    return int((shares >= MIN_COLOUR_SHARE).sum())


def feret_diameter(contour: NDArray[np.float32]) -> float:
    """Return the largest distance, in px, between two points of the `contour` (n × 2)."""
    hull = cv2.convexHull(contour).reshape(-1, 2)
    return float(np.linalg.norm(hull[:, None] - hull[None], axis=2).max())


def _contour(mask: Mask) -> NDArray[np.float32]:
    """Return the outer contour, n × 2, smoothed along itself."""
    # Drawn larger by one pixel on each side, so that a lesion at the frame's edge is closed too.
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    contours, _ = cv2.findContours(padded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = max(contours, key=cv2.contourArea).reshape(-1, 2).astype(np.float64)
    reach = min(round(3 * _SMOOTHING), len(points) // 4)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _SMOOTHING) ** 2)
    kernel /= kernel.sum()
    wrapped = np.concatenate([points[len(points) - reach :], points, points[:reach]])
    smooth = [np.convolve(wrapped[:, axis], kernel, mode="valid") for axis in (0, 1)]
    return np.stack(smooth, axis=1).astype(np.float32)


def _lab(pixels: Pixels) -> NDArray[np.float32]:
    """Return CIE LAB of sRGB `pixels`: float32, L in [0, 100]."""
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
