"""The lesion glyph: what is remembered of a lesion once its photo is gone.

Its outline, true to proportion, filled with the model's own activation as contour bands, like the
heights on a map. Made of stored numbers only; drawn as SVG by `templates/components/glyph.html`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BANDS: Final = 5
_FIELD: Final = 28  # cells per side of the resampled activation
_FAINT: Final = 0.1  # a map's peak is 1, but where nothing raised the estimate noticeably
_SIDE: Final = 100.0  # the drawing's own units
_MARGIN: Final = 4.0

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Glyph:
    """Path data in a square of 100 × 100 units.

    `outline` closes the lesion's shape; `bands` are filled areas from the lowest level up, to be
    clipped by it; `known_shape` is False where no outline was stored and a circle stands in.
    """

    outline: str
    bands: tuple[str, ...]
    known_shape: bool


def glyph_of(
    outline: Sequence[Sequence[float]] | None,
    heatmap: dict[str, Any] | None,
    *,
    width: int,
    height: int,
) -> Glyph:
    """Draw the glyph of a stored result.

    `outline` (x, y) in shares of the photo's `width` × `height` px; `heatmap` as
    `inference_worker.verdict.Heatmap` stores it. What is None is left out.
    """
    shape = tuple((float(x), float(y)) for x, y in outline) if outline else ()
    grid: tuple[tuple[float, ...], ...] = ()
    box: Box = (0.0, 0.0, 1.0, 1.0)
    if heatmap and heatmap.get("grid"):
        grid = tuple(tuple(float(v) for v in row) for row in heatmap["grid"])
        left, top, right, bottom = heatmap.get("box") or box
        box = (float(left), float(top), float(right), float(bottom))
    return _drawn(shape, grid, box, width, height)


@lru_cache(maxsize=512)
def _drawn(
    shape: tuple[Point, ...],
    grid: tuple[tuple[float, ...], ...],
    box: Box,
    width: int,
    height: int,
) -> Glyph:
    known = len(shape) >= 3  # noqa: PLR2004 - a polygon
    if known:
        xs, ys = [x * width for x, _ in shape], [y * height for _, y in shape]
        frame = (min(xs), min(ys), max(xs), max(ys))
    else:
        # The middle of the photo, where a lesion is meant to be.
        reach = 0.32 * min(width, height)
        frame = (width / 2 - reach, height / 2 - reach, width / 2 + reach, height / 2 + reach)
    extent = max(frame[2] - frame[0], frame[3] - frame[1], 1e-6)
    scale = (_SIDE - 2 * _MARGIN) / extent
    centre = ((frame[0] + frame[2]) / 2, (frame[1] + frame[3]) / 2)

    def place(x_px: float, y_px: float) -> Point:
        return (
            _SIDE / 2 + (x_px - centre[0]) * scale,
            _SIDE / 2 + (y_px - centre[1]) * scale,
        )

    if known:
        path = smooth_path([place(x, y) for x, y in zip(xs, ys, strict=True)])
    else:
        r = _SIDE / 2 - _MARGIN
        path = (
            f"M{_MARGIN:g} {_SIDE / 2:g}a{r:g} {r:g} 0 1 0 {2 * r:g} 0"
            f"a{r:g} {r:g} 0 1 0 {-2 * r:g} 0Z"
        )
    bands = _bands(grid, box, centre, extent, width, height) if grid else ()
    return Glyph(outline=path, bands=bands, known_shape=known)


def smooth_path(points: Sequence[Point], *, digits: int = 2) -> str:
    """Run a closed Catmull–Rom curve through `points` as cubic Bézier path data."""
    thinned = _thinned(points)
    n = len(thinned)
    x0, y0 = thinned[0]
    parts = [f"M{x0:.{digits}f} {y0:.{digits}f}"]
    for i in range(n):
        before, here = thinned[i - 1], thinned[i]
        there, after = thinned[(i + 1) % n], thinned[(i + 2) % n]
        c1 = (here[0] + (there[0] - before[0]) / 6, here[1] + (there[1] - before[1]) / 6)
        c2 = (there[0] - (after[0] - here[0]) / 6, there[1] - (after[1] - here[1]) / 6)
        numbers = " ".join(f"{v:.{digits}f}" for v in (*c1, *c2, *there))
        parts.append(f"C{numbers}")
    return "".join(parts) + "Z"


def _thinned(points: Sequence[Point], most: int = 48) -> list[Point]:
    """Keep every n-th point, at most `most`: an even stride, or the curve would wobble."""
    return list(points[:: max(1, math.ceil(len(points) / most))])


def _bands(
    grid: tuple[tuple[float, ...], ...],
    box: Box,
    centre: Point,
    extent: float,
    width: int,
    height: int,
) -> tuple[str, ...]:
    """Contour the activation over the glyph's square at `BANDS` levels of its own range there."""
    half = extent * _SIDE / (_SIDE - 2 * _MARGIN) / 2
    steps = np.linspace(-half, half, _FIELD + 1)
    values = np.asarray(grid, dtype=np.float64)
    across = _spline(
        (((centre[0] + steps) / width) - box[0]) / max(box[2] - box[0], 1e-6), values.shape[1]
    )
    down = _spline(
        (((centre[1] + steps) / height) - box[1]) / max(box[3] - box[1], 1e-6), values.shape[0]
    )
    sampled = down @ values @ across.T
    low, high = float(sampled.min()), float(sampled.max())
    if values.max() < _FAINT or high - low < 1e-6:  # noqa: PLR2004 - a flat field has no contours
        return ()
    field: list[list[float]] = sampled.tolist()
    levels = [low + (high - low) * (k + 1) / (BANDS + 1) for k in range(BANDS)]
    cell = _SIDE / _FIELD
    return tuple(_above(field, level, cell) for level in levels)


def _spline(shares: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Weights of `count` cells at `shares` of their extent: cubic B-splines, which never overshoot.

    Returns n × `count`; each row sums to 1. Beyond the ends the outermost cell goes on.
    """
    at = np.clip(shares * count - 0.5, -0.5, count - 0.5)
    cell = np.floor(at).astype(np.intp)
    t = at - cell
    parts = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    weights = np.zeros((len(at), count))
    for offset, part in zip((-1, 0, 1, 2), parts, strict=True):
        np.add.at(weights, (np.arange(len(at)), np.clip(cell + offset, 0, count - 1)), part)
    return weights


Edge = tuple[str, int, int]


def _above(field: list[list[float]], level: float, cell: float) -> str:
    """Contour where the field is at or above `level` as closed smooth loops (fill rule even-odd).

    Marching squares on the field with a rim below the level around it, so that every loop closes.
    A cut edge is left by exactly one cell and entered by exactly one, which links the loops.
    """
    low = min(level - 1.0, *map(min, field))
    wide = len(field[0]) + 2
    rimmed = [[low] * wide, *([low, *row, low] for row in field), [low] * wide]
    following: dict[Edge, Edge] = {}
    points: dict[Edge, Point] = {}
    for j, (upper, lower) in enumerate(pairwise(rimmed)):
        for i in range(wide - 1):
            corners = (upper[i], upper[i + 1], lower[i + 1], lower[i])
            if max(corners) < level or min(corners) >= level:
                continue
            cuts = _cuts(i, j, corners, level)
            for k, (edge, point, leaves) in enumerate(cuts):
                if leaves:
                    points[edge] = ((point[0] - 1) * cell, (point[1] - 1) * cell)
                    following[edge] = cuts[(k + 1) % len(cuts)][0]
    loops = []
    while following:
        edge, onward = following.popitem()
        loop = [points[edge]]
        while onward in following:
            loop.append(points[onward])
            onward = following.pop(onward)
        if len(loop) > 3:  # noqa: PLR2004 - less is a speck
            loops.append(smooth_path(_thinned(loop, most=max(12, len(loop) // 3)), digits=1))
    return "".join(loops)


def _cuts(
    i: int, j: int, corners: tuple[float, float, float, float], level: float
) -> list[tuple[Edge, Point, bool]]:
    """Walk round a cell: the edges that the level cuts, where, and whether the walk leaves."""
    places = ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1))
    edges: tuple[Edge, ...] = (("h", i, j), ("v", i + 1, j), ("h", i, j + 1), ("v", i, j))
    cuts = []
    for k, edge in enumerate(edges):
        here, there = corners[k], corners[(k + 1) % 4]
        if (here >= level) == (there >= level):
            continue
        t = (level - here) / (there - here)
        (x1, y1), (x2, y2) = places[k], places[(k + 1) % 4]
        cuts.append((edge, (x1 + (x2 - x1) * t, y1 + (y2 - y1) * t), here >= level))
    return cuts
