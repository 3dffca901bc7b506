"""The round field of view of a dermatoscope: which dark corners lie outside it.

A dermatoscope's lens leaves black corners outside a circle. A dark lesion is dark too, so darkness
alone does not make a corner: the dark region must reach a corner of the frame, and lie outside a
circle that its own inner edge draws. What lies inside that circle is skin or lesion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference_worker.pixels import Mask, Pixels

_MAX_POINTS: Final = 400
_CANDIDATES: Final = 256
_TOLERANCE: Final = 0.015
_MIN_INLIERS: Final = 0.5
_RADIUS: Final = (0.3, 1.2)
_MAX_OFFSET: Final = 0.25
_MIN_EDGE: Final = 12
_MIN_DISTANCE_SQUARED: Final = 16.0
_HAIR: Final = 0.008


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle in px: centre (`x`, `y`) and `radius`."""

    x: float
    y: float
    radius: float

    def outside(self, shape: tuple[int, int], margin: float = 0.0) -> Mask:
        """Return the mask of `shape` (height, width) farther out than `radius` − `margin` px."""
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        squared = (columns - self.x) ** 2 + (rows - self.y) ** 2
        return np.asarray(squared > max(self.radius - margin, 0.0) ** 2)


def dark_corners(pixels: Pixels, threshold: int) -> Mask:
    """Return the black corners of `pixels`: dark, joined to a corner, outside the field of view.

    Dark means gray < `threshold` (0–255). Where the inner edge of the dark regions draws no circle
    around the middle of the frame, no corner is found. The edge of the field is soft, so the mask
    reaches 1.5% of the short side into the circle.
    """
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    dark = _joined_to_a_corner(_without_thin(gray < threshold))
    circle = fit_field(dark)
    if circle is None:
        return np.zeros(dark.shape, np.bool_)
    margin = max(2.0, _TOLERANCE * min(dark.shape))
    reach = 2 * round(margin) + 1
    near = cv2.dilate(dark.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    return np.asarray(near & circle.outside(dark.shape, margin))


def fit_field(dark: Mask) -> Circle | None:
    """Fit the circle whose outside `dark` fills; None where its edge draws no such circle.

    RANSAC over triples of edge points, then least squares over the inliers (Kåsa 1976). A lesion
    that touches the corner bends the edge the other way: its circle lies around the lesion, not
    around the middle of the frame, and is refused.
    """
    edge = _inner_edge(dark)
    if len(edge) < _MIN_EDGE:
        return None
    rng = np.random.default_rng(0)
    edge = edge[rng.permutation(len(edge))[:_MAX_POINTS]]
    triples = edge[rng.integers(0, len(edge), (_CANDIDATES, 3))]
    circles = _through(triples)
    circles = circles[_plausible(circles, dark.shape)]
    if not len(circles):
        return None
    tolerance = max(1.5, _TOLERANCE * min(dark.shape))
    errors = np.abs(
        np.hypot(edge[None, :, 0] - circles[:, None, 0], edge[None, :, 1] - circles[:, None, 1])
        - circles[:, None, 2]
    )
    close = errors < tolerance
    best = int(close.sum(axis=1).argmax())
    if close[best].mean() < _MIN_INLIERS:
        return None
    refined = _least_squares(edge[close[best]])
    kept = refined if _plausible(refined[None], dark.shape)[0] else circles[best]
    return Circle(float(kept[0]), float(kept[1]), float(kept[2]))


def _without_thin(dark: Mask) -> Mask:
    """Return `dark` without hairs, which would join a corner to whatever they cross."""
    size = 2 * round(_HAIR * max(dark.shape)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    # Beyond the frame counts as dark: a corner is thick though the frame cuts it.
    padded = cv2.copyMakeBorder(dark.astype(np.uint8), size, size, size, size, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)[size:-size, size:-size]
    return np.asarray(opened > 0)


def _joined_to_a_corner(dark: Mask) -> Mask:
    _, labels = cv2.connectedComponents(dark.astype(np.uint8), connectivity=4)
    corners = {int(labels[row, column]) for row in (0, -1) for column in (0, -1)} - {0}
    return np.isin(labels, list(corners))


def _inner_edge(dark: Mask) -> NDArray[np.float64]:
    """Return the (x, y) of the dark pixels that touch a bright one; the frame's edge is no edge."""
    padded = cv2.copyMakeBorder(dark.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    rows, columns = np.nonzero(dark & ~eroded)
    return np.stack([columns, rows], axis=1).astype(np.float64)


def _through(triples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the circles (x, y, radius) through triples of points (n × 3 × 2), without the flat."""
    a, b, c = triples[:, 0], triples[:, 1], triples[:, 2]
    ab, ac = b - a, c - a
    cross = 2 * (ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0])
    bent = np.abs(cross) > _MIN_DISTANCE_SQUARED
    a, ab, ac, cross = a[bent], ab[bent], ac[bent], cross[bent]
    ab2, ac2 = (ab**2).sum(axis=1), (ac**2).sum(axis=1)
    x = (ac[:, 1] * ab2 - ab[:, 1] * ac2) / cross
    y = (ab[:, 0] * ac2 - ac[:, 0] * ab2) / cross
    return np.stack([a[:, 0] + x, a[:, 1] + y, np.hypot(x, y)], axis=1)


def _plausible(circles: NDArray[np.float64], shape: tuple[int, int]) -> Mask:
    """Tell which circles are a field of view: near the middle of the frame, of its size."""
    height, width = shape
    short = min(shape)
    near_x = np.abs(circles[:, 0] - width / 2) <= _MAX_OFFSET * width
    near_y = np.abs(circles[:, 1] - height / 2) <= _MAX_OFFSET * height
    sized = (circles[:, 2] >= _RADIUS[0] * short) & (circles[:, 2] <= _RADIUS[1] * short)
    return np.asarray(near_x & near_y & sized)


def _least_squares(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit x² + y² = 2ax + 2by + c to `points` (n × 2); return (a, b, radius)."""
    system = np.column_stack([2 * points, np.ones(len(points))])
    (x, y, c), *_ = np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)
    return np.array([x, y, np.sqrt(max(c + x * x + y * y, 0.0))])
