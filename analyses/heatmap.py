"""Draw a stored activation grid as a transparent picture. There is no photo in it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONG_SIDE: Final = 512  # px
MAX_OPACITY: Final = 0.85
# Dark violet over red to pale yellow: lightness rises evenly, so that it reads without hue, and in
# the common kinds of colour blindness. (position, red, green, blue)
ANCHORS: Final = (
    (0.00, 2, 1, 12),
    (0.18, 48, 10, 84),
    (0.36, 116, 26, 110),
    (0.54, 185, 52, 84),
    (0.72, 236, 98, 40),
    (0.88, 250, 172, 30),
    (1.00, 250, 252, 160),
)


def render(heatmap: dict[str, Any], *, width: int, height: int) -> bytes:
    """Return a PNG in the photo's proportions, 512 px on its long side.

    `heatmap` holds `grid`, rows of values in [0, 1], and `box`, the part of the photo that it lies
    over, in shares of `width` and `height` (px of the upright photo). Outside it is transparent,
    and the weaker the response, the more transparent.
    """
    scale = LONG_SIDE / max(width, height)
    frame = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top, right, bottom = heatmap["box"]
    x0, x1 = round(left * frame[0]), round(right * frame[0])
    y0, y1 = round(top * frame[1]), round(bottom * frame[1])
    grid = np.clip(np.asarray(heatmap["grid"], dtype=np.float32), 0.0, 1.0)
    smooth = Image.fromarray(grid).resize(
        (max(1, x1 - x0), max(1, y1 - y0)), Image.Resampling.BICUBIC
    )
    picture = Image.new("RGBA", frame, (0, 0, 0, 0))
    picture.paste(Image.fromarray(_colour(np.asarray(smooth))), (x0, y0))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _colour(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Map height × width values to height × width × 4 RGBA."""
    shares = np.clip(values, 0.0, 1.0)
    positions = [anchor[0] for anchor in ANCHORS]
    channels = [
        np.interp(shares, positions, [anchor[channel] for anchor in ANCHORS])
        for channel in (1, 2, 3)
    ]
    rgba = np.stack([*channels, shares * MAX_OPACITY * 255], axis=-1)
    return rgba.round().astype(np.uint8)
