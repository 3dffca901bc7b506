"""The picture of an analysis: kept encrypted in the private store while it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from analyses import imaging, storage
from analyses.crypto import Keyring, KeyUnavailableError, Sealed

if TYPE_CHECKING:
    import uuid

    import numpy as np
    from numpy.typing import NDArray

    from analyses.models import Analysis


class ImageUnavailableError(Exception):
    """The picture cannot be read back: purged, lost, changed, or its master key is gone."""


def keep(image_id: uuid.UUID, pixels: NDArray[np.uint8]) -> bytes:
    """Encrypt and store uint8 height × width × 3 `pixels`; returns the wrapped key for the row.

    Raises `OSError` with nothing stored.
    """
    sealed = _keyring().seal(imaging.pack(pixels), owner_id=image_id)
    storage.put(image_id, sealed.body)
    return sealed.wrapped_key


def read(analysis: Analysis) -> NDArray[np.uint8]:
    """Return the pixels, uint8 height × width × 3, upright sRGB. Raises `ImageUnavailableError`."""
    if analysis.image_key is None:
        raise ImageUnavailableError("the picture was deleted")
    try:
        sealed = Sealed(body=storage.get(analysis.id), wrapped_key=bytes(analysis.image_key))
        return imaging.unpack(_keyring().open(sealed, owner_id=analysis.id))
    except (OSError, KeyUnavailableError, ValueError) as error:
        raise ImageUnavailableError(str(error)) from error


def _keyring() -> Keyring:
    return Keyring(settings.IMAGE_MASTER_KEYS)
