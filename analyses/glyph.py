"""The lesion glyph: what is remembered of a lesion once its photo is gone.

Its outline, true to proportion, filled with the model's own activation as contour bands, like the
heights on a map. Made of stored numbers only; drawn as SVG by `templates/components/glyph.html`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

BANDS: Final = 5
_FIELD: Final = 28  # cells per side of the resampled activation
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


def smooth_path(points: Sequence[Point], *, close: bool = True, digits: int = 1) -> str:
    """Run a closed Catmull–Rom curve through `points` as cubic Bézier path data."""
    thinned = _thinned(points)
    n = len(thinned)
    x0, y0 = thinned[0]
    parts = [f"M{x0:.{digits}f} {y0:.{digits}f}"]
    for i in range(n if close else n - 1):
        before, here = thinned[i - 1], thinned[i]
        there, after = thinned[(i + 1) % n], thinned[(i + 2) % n]
        c1 = (here[0] + (there[0] - before[0]) / 6, here[1] + (there[1] - before[1]) / 6)
        c2 = (there[0] - (after[0] - here[0]) / 6, there[1] - (after[1] - here[1]) / 6)
        numbers = " ".join(f"{v:.{digits}f}" for v in (*c1, *c2, *there))
        parts.append(f"C{numbers}")
    return "".join(parts) + ("Z" if close else "")


def _thinned(points: Sequence[Point], most: int = 48) -> list[Point]:
    """Keep at most `most` points, evenly: an outline of hundreds would only weigh."""
    if len(points) <= most:
        return list(points)
    step = len(points) / most
    return [points[int(i * step)] for i in range(most)]


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
    field = []
    for j in range(_FIELD + 1):
        y = (centre[1] - half + 2 * half * j / _FIELD) / height
        row = []
        for i in range(_FIELD + 1):
            x = (centre[0] - half + 2 * half * i / _FIELD) / width
            row.append(_sample(grid, box, x, y))
        field.append(row)
    low, high = min(map(min, field)), max(map(max, field))
    if high - low < 1e-6:  # noqa: PLR2004 - a flat field has no contours
        return ()
    levels = [low + (high - low) * (k + 1) / (BANDS + 1) for k in range(BANDS)]
    cell = _SIDE / _FIELD
    return tuple(_above(field, level, cell) for level in levels)


def _sample(grid: tuple[tuple[float, ...], ...], box: Box, x: float, y: float) -> float:
    """Sample the grid at a share of the photo, with a smoothed bilinear weight."""
    rows, columns = len(grid), len(grid[0])
    u = (x - box[0]) / max(box[2] - box[0], 1e-6) * columns - 0.5
    v = (y - box[1]) / max(box[3] - box[1], 1e-6) * rows - 0.5
    u, v = min(max(u, 0.0), columns - 1.0), min(max(v, 0.0), rows - 1.0)
    i, j = int(u), int(v)
    i2, j2 = min(i + 1, columns - 1), min(j + 1, rows - 1)
    fu, fv = _ease(u - i), _ease(v - j)
    upper = grid[j][i] * (1 - fu) + grid[j][i2] * fu
    lower = grid[j2][i] * (1 - fu) + grid[j2][i2] * fu
    return upper * (1 - fv) + lower * fv


def _ease(t: float) -> float:
    """Blend half way between linear and smoothstep: no creases, no plateaus."""
    return (t + t * t * (3 - 2 * t)) / 2


Edge = tuple[str, int, int]


def _above(field: list[list[float]], level: float, cell: float) -> str:
    """Contour where the field is at or above `level` as closed smooth loops (fill rule even-odd).

    Marching squares on the field with a rim below the level around it, so that every loop closes.
    A cut edge is left by exactly one cell and entered by exactly one, which links the loops.
    """
    low = min(level - 1.0, min(map(min, field)))
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
            loops.append(smooth_path(_thinned(loop, most=max(8, len(loop) // 2))))
    return "".join(loops)


def _cuts(
    i: int, j: int, corners: tuple[float, float, float, float], level: float
) -> list[tuple[Edge, Point, bool]]:
    """Walk round a cell: each edge that the level cuts, where, and whether the walk leaves there."""
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
