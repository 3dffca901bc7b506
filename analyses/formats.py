"""Which kinds of picture are accepted, recognised by their first bytes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath
from typing import Final

from analyses.exceptions import (
    EmptyFileError,
    NotAnImageError,
    TypeMismatchError,
    UnsupportedTypeError,
)


class Format(StrEnum):
    """An accepted format."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    TIFF = "TIFF"
    HEIC = "HEIC"


PILLOW_FORMATS: Final[dict[Format, tuple[str, ...]]] = {
    # A phone's MPO begins as a JPEG and is read as its first frame.
    Format.JPEG: ("JPEG", "MPO"),
    Format.PNG: ("PNG",),
    Format.WEBP: ("WEBP",),
    Format.TIFF: ("TIFF",),
    Format.HEIC: ("HEIF",),
}

EXTENSIONS: Final[dict[str, Format]] = {
    ".jpg": Format.JPEG,
    ".jpeg": Format.JPEG,
    ".jpe": Format.JPEG,
    ".jfif": Format.JPEG,
    ".mpo": Format.JPEG,
    ".png": Format.PNG,
    ".webp": Format.WEBP,
    ".tif": Format.TIFF,
    ".tiff": Format.TIFF,
    ".heic": Format.HEIC,
    ".heif": Format.HEIC,
}

MEDIA_TYPES: Final[dict[str, Format]] = {
    "image/jpeg": Format.JPEG,
    "image/jpg": Format.JPEG,
    "image/pjpeg": Format.JPEG,
    "image/mpo": Format.JPEG,
    "image/png": Format.PNG,
    "image/webp": Format.WEBP,
    "image/tiff": Format.TIFF,
    "image/heic": Format.HEIC,
    "image/heif": Format.HEIC,
}
# What clients send when they do not know: it claims nothing, so it contradicts nothing.
UNSPECIFIC_MEDIA_TYPES: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})

HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2"})
AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
HEIC_SEQUENCE_BRANDS: Final = frozenset({b"hevc", b"hevx", b"msf1"})

_FOREIGN: Final = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"%PDF", "PDF"),
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"8BPS", "PSD"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
)


def sniff(data: bytes) -> Format:
    """Tell the format from the first bytes.

    Raises `EmptyFileError`, `UnsupportedTypeError` for known kinds that are not accepted, and
    `NotAnImageError` for all else.
    """
    if not data:
        raise EmptyFileError
    if data.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Format.PNG
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Format.WEBP
    if data.startswith((b"II*\x00", b"MM\x00*")):
        return Format.TIFF
    if data[4:8] == b"ftyp":
        return _sniff_iso_media(data)
    raise _refusal_of(data)


def check_agreement(found: Format, *, name: str, media_type: str) -> None:
    """Refuse a file whose extension or declared type says something else than its content.

    A missing extension or type claims nothing. Raises `TypeMismatchError`.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix and EXTENSIONS.get(suffix) is not found:
        raise TypeMismatchError(declared=suffix, found=found.value)
    declared = media_type.partition(";")[0].strip().lower()
    if declared not in UNSPECIFIC_MEDIA_TYPES and MEDIA_TYPES.get(declared) is not found:
        raise TypeMismatchError(declared=declared, found=found.value)


def _sniff_iso_media(data: bytes) -> Format:
    major = data[8:12]
    if major in HEIC_BRANDS:
        return Format.HEIC
    if major in AVIF_BRANDS:
        raise UnsupportedTypeError(found="AVIF")
    if major in HEIC_SEQUENCE_BRANDS:
        raise UnsupportedTypeError(found="HEIC sequence")
    raise UnsupportedTypeError(found="video")


def _refusal_of(data: bytes) -> NotAnImageError | UnsupportedTypeError:
    for magic, found in _FOREIGN:
        if data.startswith(magic):
            return UnsupportedTypeError(found=found)
    if data[128:132] == b"DICM":
        return UnsupportedTypeError(found="DICOM")
    if b"<svg" in data[:1024].lower():
        return UnsupportedTypeError(found="SVG")
    return NotAnImageError()
