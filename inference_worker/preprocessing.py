"""Cleaning a dermoscopic photo, and cutting it to what the networks see.

Each step is a pure function from pixels to pixels of the same shape, with its parameters in a
frozen dataclass; `apply` runs the steps that a bundle names. Training and serving use the same
functions. Detection and inpainting run on a copy of at most `WORKING_SIDE` px, and at most a stated
share of the frame is filled, so that a step's cost does not depend on the photo.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import cv2
import numpy as np

from inference_worker.artefacts import ink_mask, plaster_mask
from inference_worker.field_of_view import dark_corners
from inference_worker.pixels import Mask, Pixels, check, check_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORKING_SIDE: Final = 512
"""The long side, in px, of the copy on which artefacts are found and filled."""

REFERENCE_SIDE: Final = 600
"""The long side of a HAM10000 photo, for which the sources' kernel sizes were chosen."""

MAX_ASPECT: Final = 4 / 3
"""The widest frame that is squashed to a square whole; a wider one loses its ends."""


class UnknownStepError(ValueError):
    """A bundle names a preprocessing step, or a parameter of one, that this version lacks."""

    code = "bundle_invalid"


@dataclass(frozen=True, slots=True)
class BlackCorners:
    """Fill the black corners outside a dermatoscope's round field of view.

    `threshold` gray level below which a pixel is dark; `radius` px of Navier–Stokes inpainting
    (Bertalmio 2001) at the reference side; `max_share` of the frame above which nothing is filled.
    """

    threshold: int = 50
    radius: float = 15.0
    max_share: float = 0.6


@dataclass(frozen=True, slots=True)
class Hair:
    """Remove dark hair: black-hat, threshold, Telea inpainting (after DullRazor, Lee 1997).

    `kernel` px of the black-hat's square and `radius` px of the inpainting (Telea 2004), both at
    the reference side and scaled with the photo; `threshold` gray levels; `min_length` of a hair as
    a share of the long side and `max_density`, its area over its squared length, so that a lesion's
    dots, globules and network stay; `max_share` of the frame that is filled: above it only the
    strongest responses are.
    """

    kernel: int = 17
    threshold: int = 10
    radius: float = 3.0
    min_length: float = 0.1
    max_density: float = 0.12
    max_share: float = 0.2


@dataclass(frozen=True, slots=True)
class Clahe:
    """Equalise local contrast on L of LAB (CLAHE, Zuiderveld 1994): `clip` limit, `grid` tiles."""

    clip: float = 2.0
    grid: int = 8


@dataclass(frozen=True, slots=True)
class Ink:
    """Fill strokes of a surgical marker: green, blue or violet, of at least `saturation` in [0, 1].

    `min_length` of a stroke as a share of the long side; `radius` px of Telea inpainting at the
    reference side; `max_share` of the frame above which nothing is filled.
    """

    saturation: float = 0.35
    min_length: float = 0.05
    radius: float = 5.0
    max_share: float = 0.3


@dataclass(frozen=True, slots=True)
class Plasters:
    """Fill sticking plasters: flat beige patches at the frame's edge, sharply bounded.

    `min_share` and `max_share` of the frame that one patch covers; `radius` px of Telea inpainting
    at the reference side.
    """

    min_share: float = 0.01
    max_share: float = 0.35
    radius: float = 5.0


BLACK_CORNERS: Final = "black_corners"

SPARING: Final = frozenset({BLACK_CORNERS, "ink", "plasters"})
"""The steps that leave the lesion alone where its mask is known, by name."""

SparingStep: TypeAlias = BlackCorners | Ink | Plasters
Step: TypeAlias = SparingStep | Hair | Clahe

_STEPS: Final[dict[str, type[Step]]] = {
    BLACK_CORNERS: BlackCorners,
    "hair": Hair,
    "clahe": Clahe,
    "ink": Ink,
    "plasters": Plasters,
}


NAMES: Final = tuple(_STEPS)
"""Every step that there is."""


def parse_step(name: str, params: Mapping[str, Any]) -> Step:
    """Return the step called `name`; parameters left out take their defaults.

    Raises `UnknownStepError` for a name or a parameter that there is not.
    """
    if name not in _STEPS:
        msg = f"unknown preprocessing step {name!r}: this version has {', '.join(_STEPS)}"
        raise UnknownStepError(msg)
    known = {field.name for field in fields(_STEPS[name])}
    if unknown := set(params) - known:
        msg = f"unknown parameter {sorted(unknown)} of step {name!r}: it has {sorted(known)}"
        raise UnknownStepError(msg)
    return _STEPS[name](**params)


def parse_steps(steps: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Step]:
    """Return `steps`, pairs of name and parameters, as dataclasses. Raises `UnknownStepError`."""
    return [parse_step(name, params) for name, params in steps]


def apply(
    pixels: Pixels,
    steps: Sequence[tuple[str, Mapping[str, Any]]],
    lesion_mask: Mask | None = None,
) -> Pixels:
    """Run `steps`, pairs of name and parameters, in order; return a photo of the same shape.

    `pixels` uint8 height × width × 3 RGB. `lesion_mask` bool height × width, where it is known:
    corners, ink and plasters are never filled inside it. The argument is not changed.
    Raises `InvalidPixelsError`, `UnknownStepError`.
    """
    check(pixels)
    if lesion_mask is not None:
        check_mask(lesion_mask, pixels)
    for step in parse_steps(steps):
        pixels = run(pixels, step, lesion_mask)
    return pixels


def run(pixels: Pixels, step: Step, lesion_mask: Mask | None = None) -> Pixels:
    """Run one step, as `apply` does."""
    if isinstance(step, BlackCorners):
        return fill_black_corners(pixels, step, lesion_mask)
    if isinstance(step, Hair):
        return remove_hair(pixels, step)
    if isinstance(step, Ink | Plasters):
        return remove_marks(pixels, step, lesion_mask)
    return equalise(pixels, step)


def fill_black_corners(
    pixels: Pixels, step: BlackCorners = BlackCorners(), lesion_mask: Mask | None = None
) -> Pixels:
    """Fill the dark regions that `field_of_view.dark_corners` finds, never inside `lesion_mask`.

    The source system takes any dark pixel and erases dark lesions with it; ours does not.
    """
    return fill(pixels, step, to_fill(pixels, step, lesion_mask))


def to_fill(pixels: Pixels, step: SparingStep, lesion_mask: Mask | None = None) -> Mask:
    """Return where `step` finds something to fill outside of `lesion_mask`, at its working size."""
    small = _working_copy(pixels, step)
    if isinstance(step, BlackCorners):
        found = dark_corners(small, step.threshold)
    elif isinstance(step, Ink):
        found = ink_mask(small, saturation=step.saturation, min_length=step.min_length)
    else:
        found = plaster_mask(small, min_share=step.min_share, max_share=step.max_share)
    return found if lesion_mask is None else found & ~_resized(lesion_mask, found)


def touches(found: Mask, lesion_mask: Mask) -> bool:
    """Tell whether `to_fill` leaves less of what it `found` once it knows of `lesion_mask`."""
    return bool((found & _resized(lesion_mask, found)).any())


def fill(pixels: Pixels, step: SparingStep, where: Mask) -> Pixels:
    """Fill `where`, which is `to_fill` of these pixels; nothing if it is too much."""
    if not where.any() or where.mean() > step.max_share:
        return pixels
    small = _working_copy(pixels, step)
    radius = max(1.0, step.radius * max(small.shape[:2]) / REFERENCE_SIDE)
    how = cv2.INPAINT_NS if isinstance(step, BlackCorners) else cv2.INPAINT_TELEA
    filled = np.asarray(cv2.inpaint(small, where.astype(np.uint8), radius, how), np.uint8)
    return _composite(pixels, filled, where)


def _working_copy(pixels: Pixels, step: SparingStep) -> Pixels:
    return shrink(pixels, WORKING_SIDE // 2 if isinstance(step, BlackCorners) else WORKING_SIDE)


def remove_hair(pixels: Pixels, step: Hair = Hair()) -> Pixels:
    """Fill what `hair_mask` finds."""
    small = shrink(pixels, WORKING_SIDE)
    hair = hair_mask(small, step)
    if not hair.any():
        return pixels
    radius = max(1.0, step.radius * max(small.shape[:2]) / REFERENCE_SIDE)
    filled = np.asarray(
        cv2.inpaint(small, hair.astype(np.uint8), radius, cv2.INPAINT_TELEA), np.uint8
    )
    return _composite(pixels, filled, hair)


def hair_mask(pixels: Pixels, step: Hair = Hair()) -> Mask:
    """Return where thin, long structures are darker than their surroundings."""
    long_side = max(pixels.shape[:2])
    size = max(3, round(step.kernel * long_side / REFERENCE_SIDE) | 1)
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    response = cv2.morphologyEx(gray, cv2.MORPH_BLACKHAT, np.ones((size, size), np.uint8))
    strongest = float(np.quantile(response, 1.0 - step.max_share))
    found = response > max(float(step.threshold), strongest)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    length = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    thin = stats[:, cv2.CC_STAT_AREA] <= step.max_density * length**2
    kept = thin & (length >= step.min_length * long_side)
    kept[0] = False
    return np.asarray(kept[labels]) if count > 1 else np.zeros(labels.shape, np.bool_)


def remove_marks(pixels: Pixels, step: Ink | Plasters, lesion_mask: Mask | None = None) -> Pixels:
    """Fill what `artefacts` finds of ink or of plasters, never inside `lesion_mask`."""
    return fill(pixels, step, to_fill(pixels, step, lesion_mask))


def equalise(pixels: Pixels, step: Clahe = Clahe()) -> Pixels:
    """Equalise local contrast of the lightness; hue and chroma stay."""
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    clahe = cv2.createCLAHE(clipLimit=step.clip, tileGridSize=(step.grid, step.grid))
    lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def crop_box(width: int, height: int) -> tuple[float, float, float, float]:
    """Return (left, top, right, bottom), in shares of the photo, of what `to_square` keeps."""
    left, top, right, bottom = _crop(width, height)
    return left / width, top / height, right / width, bottom / height


def to_square(pixels: Pixels, size: int, *, via: int = 0) -> Pixels:
    """Cut the ends beyond 4:3 off, evenly, then squash to `size` × `size` px.

    By way of `via` × `via` px, where that is given. Every photo of a dermatoscope's usual shapes
    keeps its whole frame. Shrinking averages areas.
    """
    left, top, right, bottom = _crop(pixels.shape[1], pixels.shape[0])
    square = pixels[top:bottom, left:right]
    if via:
        square = _resize(square, via, via)
    return _resize(square, size, size)


def shrink(pixels: Pixels, long_side: int) -> Pixels:
    """Return a copy whose long side is at most `long_side` px, the aspect kept; never enlarges."""
    height, width = pixels.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return pixels
    return _resize(pixels, max(1, round(width * scale)), max(1, round(height * scale)))


def _crop(width: int, height: int) -> tuple[int, int, int, int]:
    kept_width = min(width, round(height * MAX_ASPECT))
    kept_height = min(height, round(width * MAX_ASPECT))
    left, top = (width - kept_width) // 2, (height - kept_height) // 2
    return left, top, left + kept_width, top + kept_height


def _resize(pixels: Pixels, width: int, height: int) -> Pixels:
    shrinks = width <= pixels.shape[1] and height <= pixels.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)


def _resized(mask: Mask, like: Mask) -> Mask:
    size = (like.shape[1], like.shape[0])
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0)


def _composite(pixels: Pixels, filled: Pixels, where: Mask) -> Pixels:
    """Lay the small `filled` over the photo `where` it was filled; keep every other pixel."""
    if filled.shape == pixels.shape:
        return np.asarray(filled, np.uint8)
    size = (pixels.shape[1], pixels.shape[0])
    large = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR)
    chosen = cv2.resize(where.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return np.where(chosen[..., None], large, pixels).astype(np.uint8)
