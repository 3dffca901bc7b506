"""The array types that the image steps pass to each other, and how they are checked."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
"""An upright sRGB photo: uint8, height × width × 3, RGB."""

Mask: TypeAlias = NDArray[np.bool_]
"""A region of a photo: bool, height × width."""


class InvalidPixelsError(ValueError):
    """The array is not an RGB photo, or the mask does not belong to it."""

    code = "pixels_invalid"


def check(pixels: NDArray[Any]) -> None:
    """Raise `InvalidPixelsError` unless `pixels` is uint8, height × width × 3, and not empty."""
    if pixels.dtype != np.uint8 or pixels.shape[2:] != (3,) or not pixels.size:
        msg = (
            f"expected a uint8 RGB array of height × width × 3, got {pixels.dtype} of shape "
            f"{pixels.shape}: decode the photo to 8-bit RGB first"
        )
        raise InvalidPixelsError(msg)


def check_mask(mask: NDArray[Any], pixels: Pixels) -> None:
    """Raise `InvalidPixelsError` unless `mask` is bool and has the height and width of `pixels`."""
    if mask.dtype != np.bool_ or mask.shape != pixels.shape[:2]:
        msg = (
            f"expected a bool mask of shape {pixels.shape[:2]}, got {mask.dtype} of shape "
            f"{mask.shape}: threshold and resize it to the photo first"
        )
        raise InvalidPixelsError(msg)
