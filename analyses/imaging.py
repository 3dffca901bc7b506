"""Make a picture of uploaded bytes: one decoder, one meaning for every kind of picture.

The outcome is always upright 8-bit sRGB. It is rebuilt from pixels, so no metadata, no colour
profile and nothing that was hidden behind or between them survives.

Defined meanings: MPO is its first frame; alpha lies on white; CMYK goes through its profile, or
without one through Pillow's plain conversion; 16-bit grey is scaled to 8; 32-bit samples are
refused; a colour profile that cannot be read counts as sRGB.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, ImageOps

from analyses.exceptions import (
    AnimatedError,
    NotAnImageError,
    TooManyPixelsError,
    TooSmallError,
    TruncatedError,
    UnsupportedTypeError,
)
from analyses.formats import PILLOW_FORMATS, Format, sniff

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Thumbnails and depth maps of a phone's HEIC are never read, so they are not opened either.
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)

WHITE: Final = (255, 255, 255)
SIXTEEN_BIT_STEP: Final = 257  # 65535 / 255
# A progressive JPEG may repeat its scans without limit; cameras and encoders write about ten.
MAX_JPEG_SCANS: Final = 64
JPEG_START_OF_SCAN: Final = b"\xff\xda"
_HEADER: Final = struct.Struct(">4sII")
_MAGIC: Final = b"DRM1"


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded picture: `pixels` uint8 height × width × 3, upright sRGB; sizes in px."""

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: Format


def decode(data: bytes, *, max_pixels: int, min_side: int) -> DecodedImage:
    """Decode `data` once.

    The size is read from the header and checked before any pixel is decoded. Raises a subclass of
    `analyses.exceptions.IntakeError` for whatever cannot become a picture.
    """
    found = sniff(data)
    if found is Format.JPEG and data.count(JPEG_START_OF_SCAN) > MAX_JPEG_SCANS:
        raise NotAnImageError
    with _open(data, found, max_pixels=max_pixels) as image:
        _check_size(image.size, max_pixels=max_pixels, min_side=min_side)
        _check_single(image)
        upright = _to_srgb(_load(image))
    pixels = np.ascontiguousarray(np.asarray(upright, dtype=np.uint8))
    height, width = pixels.shape[:2]
    return DecodedImage(pixels=pixels, width=width, height=height, format=found)


def pack(pixels: NDArray[np.uint8]) -> bytes:
    """Serialise uint8 height × width × 3 pixels.

    Uncompressed: the copy lives for seconds, and lossless compression of a photo saves a quarter
    of the room for a second and more of the sender's time.
    """
    height, width = pixels.shape[:2]
    return b"".join((_HEADER.pack(_MAGIC, height, width), np.ascontiguousarray(pixels).data))


def unpack(data: bytes) -> NDArray[np.uint8]:
    """Undo `pack`. Raises `ValueError` where the sizes do not agree."""
    magic, height, width = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError("the stored picture does not begin with its mark")
    flat = np.frombuffer(data, dtype=np.uint8, offset=_HEADER.size)
    return flat.reshape(height, width, 3)


def _open(data: bytes, found: Format, *, max_pixels: int) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=PILLOW_FORMATS[found])
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(limit_pixels=max_pixels) from error
    except MemoryError:
        raise  # the decoding process has a limit; a damaged file is another thing
    except Exception as error:  # the decoders raise anything on crafted headers
        raise TruncatedError from error


def _check_size(size: tuple[int, int], *, max_pixels: int, min_side: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise TooManyPixelsError(limit_pixels=max_pixels)
    if min(size) < min_side:
        raise TooSmallError(width=width, height=height, limit_px=min_side)


def _check_single(image: Image.Image) -> None:
    # Phones put gain maps and second views behind the photo: MPO and HEIC count as the first.
    if image.format in {"MPO", "HEIF"}:
        return
    try:
        frames = getattr(image, "n_frames", 1)
    except MemoryError:
        raise
    except Exception as error:  # counting walks through the file's own tables
        raise TruncatedError from error
    if frames > 1:
        raise AnimatedError(frames=frames)


def _load(image: Image.Image) -> Image.Image:
    """Decode every pixel, then turn upright. `verify()` would not notice a missing end."""
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # the decoders raise anything on damaged data
        raise TruncatedError from error
    if image.mode in {"I", "F"}:
        raise UnsupportedTypeError(found=f"{image.format} 32 bit")
    try:
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - damaged EXIF says nothing about the orientation
        return image


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    opaque = _without_alpha(_to_eight_bit(image))
    if isinstance(profile, bytes) and profile:
        try:
            return _convert_by_profile(opaque, profile)
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a profile that cannot be read, or is not for this kind: the pixels are sRGB
    try:
        return opaque.convert("RGB")
    except ValueError as error:
        raise UnsupportedTypeError(found=f"{image.format} {image.mode}") from error


def _to_eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        samples = np.asarray(image, dtype=np.uint16)
        return Image.fromarray((samples // SIXTEEN_BIT_STEP).astype(np.uint8))
    return image


def _without_alpha(image: Image.Image) -> Image.Image:
    """Lay transparency on white and resolve palettes; other modes stay as they are."""
    if image.mode == "1":
        return image.convert("L")
    if not image.has_transparency_data and image.mode != "PA":
        return image.convert("RGB") if image.mode == "P" else image
    layered = image.convert("RGBA")
    ground = Image.new("RGB", layered.size, WHITE)
    ground.paste(layered, mask=layered.getchannel("A"))
    return ground


def _convert_by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    converted = ImageCms.profileToProfile(
        image,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if converted is None:
        raise ValueError("the conversion made no picture")
    return converted
