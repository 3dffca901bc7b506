"""The photo that a patient let a dermatologist see, while it is held."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from django.utils import timezone
from PIL import Image

from analyses import images
from analyses.models import Analysis
from analyses.models.analysis import TERMINAL

if TYPE_CHECKING:
    import uuid

    from accounts.models import User
    from analyses.models.analysis import AnalysisQuerySet

QUALITY: Final = 95  # JPEG; no chroma subsampling, colour is what is looked at


def held_photos(user: User) -> AnalysisQuerySet:
    """Return the analyses whose photo `user` may see now: visible to them, and held."""
    return Analysis.objects.visible_to(user).filter(
        status__in=TERMINAL, image_key__isnull=False, held_until__gt=timezone.now()
    )


def held_photo(user: User, analysis_id: uuid.UUID) -> Analysis | None:
    """Return the analysis if `user` may see its photo now."""
    return held_photos(user).filter(pk=analysis_id).first()


def jpeg(analysis: Analysis) -> bytes:
    """Decrypt the photo and return it as JPEG bytes, in full size, without metadata.

    Raises `analyses.images.ImageUnavailableError`.
    """
    out = io.BytesIO()
    Image.fromarray(images.read(analysis)).save(out, format="JPEG", quality=QUALITY, subsampling=0)
    return out.getvalue()
