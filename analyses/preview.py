"""A picture that browsers cannot draw, converted for its uploader while it exists."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from PIL import Image

from analyses import images
from analyses.formats import Format

if TYPE_CHECKING:
    from analyses.models import Analysis

CONVERTED: Final = frozenset({Format.HEIC, Format.TIFF})
LONG_SIDE: Final = 1600  # px


def needs_preview(analysis: Analysis) -> bool:
    """Whether browsers cannot draw the file that was uploaded."""
    return analysis.source_format in CONVERTED


def preview_jpeg(analysis: Analysis) -> bytes | None:
    """Return the photo as JPEG bytes, or None where it is gone or needs no conversion."""
    if not needs_preview(analysis):
        return None
    try:
        pixels = images.read(analysis)
    except images.ImageUnavailableError:
        return None
    picture = Image.fromarray(pixels)
    picture.thumbnail((LONG_SIDE, LONG_SIDE))
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=88)
    return out.getvalue()
