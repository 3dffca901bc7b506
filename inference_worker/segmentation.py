"""The lesion: from a network's map of probabilities to one mask and one outline.

The map covers what the network saw of the photo, squashed to a square. Mask and outline are made on
a canvas of the photo's own aspect, so that lengths and angles are true.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from inference_worker.preprocessing import crop_box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference_worker.pixels import Mask, Pixels

CANVAS_SIDE: Final = 384
"""The long side of the canvas in px."""

MAX_POINTS: Final = 64
"""The most corners that an outline has."""

_FIRST_TOLERANCE: Final = 0.5  # px
_MIN_CORNERS: Final = 3


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where a lesion is drawn: `width` × `height` px over `box` of the photo.

    `box` (left, top, right, bottom) in shares of the photo; `scale` px of the photo per px here.
    """

    width: int
    height: int
    box: tuple[float, float, float, float]
    scale: float

    def draw(self, pixels: Pixels) -> Pixels:
        """Return the canvas as `pixels` show it; these are the whole photo, at any size."""
        height, width = pixels.shape[:2]
        columns, rows = self._within(width, height)
        size = (self.width, self.height)
        return np.asarray(cv2.resize(pixels[rows, columns], size), np.uint8)

    def spread(self, mask: Mask, width: int, height: int) -> Mask:
        """Return `mask`, one of the canvas, on the photo at `width` × `height` px."""
        columns, rows = self._within(width, height)
        full = np.zeros((height, width), np.bool_)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        full[rows, columns] = cv2.resize(mask.astype(np.uint8), size) > 0
        return full

    def _within(self, width: int, height: int) -> tuple[slice, slice]:
        left, top, right, bottom = self.box
        return (
            slice(round(left * width), round(right * width)),
            slice(round(top * height), round(bottom * height)),
        )


@dataclass(frozen=True, slots=True)
class Lesion:
    """One lesion: `mask` bool on the `canvas`, `outline` (x, y) in shares of the photo."""

    canvas: Canvas
    mask: Mask
    outline: tuple[tuple[float, float], ...]

    @property
    def share(self) -> float:
        """Return the lesion's share of the whole photo in [0, 1]."""
        left, top, right, bottom = self.canvas.box
        return float(self.mask.mean()) * (right - left) * (bottom - top)

    def mask_of_photo(self, width: int, height: int) -> Mask:
        """Return the mask on the photo at `width` × `height` px: bool height × width."""
        return self.canvas.spread(self.mask, width, height)


def canvas_of(width: int, height: int) -> Canvas:
    """Return the canvas of a photo of `width` × `height` px: the part that networks see."""
    box = crop_box(width, height)
    seen_width, seen_height = (box[2] - box[0]) * width, (box[3] - box[1]) * height
    scale = max(seen_width, seen_height) / CANVAS_SIDE
    return Canvas(
        width=max(1, round(seen_width / scale)),
        height=max(1, round(seen_height / scale)),
        box=box,
        scale=scale,
    )


def find_lesion(
    probabilities: NDArray[np.float32], canvas: Canvas, *, threshold: float, min_share: float
) -> Lesion | None:
    """Return the largest region where `probabilities` reach `threshold`, its holes filled.

    `probabilities` float32 side × side in [0, 1]. None where no region covers `min_share` of the
    canvas, which is no lesion.
    """
    size = (canvas.width, canvas.height)
    drawn = np.asarray(cv2.resize(probabilities, size, interpolation=cv2.INTER_LINEAR))
    mask = fill_holes(largest_component(np.asarray(drawn >= threshold)))
    if not mask.any() or mask.mean() < min_share:
        return None
    points = _polygon(mask)
    if len(points) < _MIN_CORNERS:
        return None
    left, top, right, bottom = canvas.box
    outline = tuple(
        (
            float(left + (right - left) * np.clip((x + 0.5) / canvas.width, 0, 1)),
            float(top + (bottom - top) * np.clip((y + 0.5) / canvas.height, 0, 1)),
        )
        for x, y in points
    )
    return Lesion(canvas=canvas, mask=mask, outline=outline)


def largest_component(mask: Mask) -> Mask:
    """Return the largest 8-connected region of `mask`; an empty mask stays empty."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count <= 1:
        return np.zeros(mask.shape, np.bool_)
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))


def fill_holes(mask: Mask) -> Mask:
    """Return `mask` with every background region that does not reach the frame's edge."""
    background = cv2.copyMakeBorder(
        (~mask).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1
    )
    _, labels = cv2.connectedComponents(background, connectivity=4)
    return np.asarray(labels[1:-1, 1:-1] != labels[0, 0])


def _polygon(mask: Mask) -> NDArray[np.int32]:
    """Return the contour of `mask`, n × 2, simplified (Douglas–Peucker) to `MAX_POINTS`."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=cv2.contourArea)
    tolerance = _FIRST_TOLERANCE
    simple = cv2.approxPolyDP(contour, tolerance, closed=True)
    while len(simple) > MAX_POINTS:
        tolerance *= 1.25
        simple = cv2.approxPolyDP(contour, tolerance, closed=True)
    return np.asarray(simple.reshape(-1, 2), np.int32)
