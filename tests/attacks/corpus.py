"""Hostile and odd files, made by code: what each is, and the code that it must be answered with."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, PngImagePlugin

from tests import images

pillow_heif.register_heif_opener()

# Hidden in whatever is accepted; it must not be found in anything that is kept.
MARK: Final = b"ATTACKER-WAS-HERE"
ACCEPTED: Final = ""
MEDIA_TYPES: Final = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "tiff": "image/tiff",
    "heic": "image/heic",
}
KINDS: Final = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "heic": "HEIF"}
PNG_START: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Attack:
    """One file as it is sent; `codes` are the answers that are right, `ACCEPTED` among them."""

    name: str
    content: bytes
    codes: tuple[str, ...]
    filename: str
    media_type: str


def corpus() -> list[Attack]:
    """Make all of them, always the same."""
    return [attack for group in GROUPS for attack in group()]


def attack(name: str, extension: str, content: bytes, *codes: str, filename: str = "") -> Attack:
    media_type = MEDIA_TYPES.get(extension, "application/octet-stream")
    return Attack(name, content, codes, filename or f"lesion.{extension}", media_type)


def bombs() -> Iterator[Attack]:
    """Small files that ask for a lot of memory or time."""
    stub = png(20_000, 20_000, zlib.compress(b""))
    yield attack("PNG of 400 MP by its header", "png", stub, "too_many_pixels")
    yield attack(
        "PNG of the largest sizes", "png", png(2**31 - 1, 2**31 - 1, b""), "too_many_pixels"
    )
    yield attack("PNG of 24 MP in 24 kB", "png", images.png_with_header_size(4900, 4900), ACCEPTED)
    flood = zlib.compress(b"\0" * 100_000_000, 9)
    yield attack("PNG whose data go on for 100 MB", "png", png(120, 120, flood), ACCEPTED)
    for kind in (b"zTXt", b"iTXt", b"iCCP"):
        yield attack(
            f"PNG with a {kind.decode()} that expands to 100 MB",
            "png",
            png(120, 120, zlib.compress(_rows(120, 120)), before=_text_bomb(kind, flood)),
            ACCEPTED,
            "truncated",
        )
    yield attack("WebP of 268 MP by its header", "webp", _resized_webp(), "too_many_pixels")
    yield attack("HEIC of 36 MP by its header", "heic", _resized_heic(6_000), "too_many_pixels")
    yield attack("HEIC of 3,600 MP by its header", "heic", _resized_heic(60_000), "too_many_pixels")
    yield attack("TIFF of 3,600 MP by its tags", "tiff", _resized_tiff(60_000), "too_many_pixels")
    yield attack("TIFF of 25 MP with one strip", "tiff", _resized_tiff(4_999), "truncated")
    yield attack("JPEG of 4,225 MP by its header", "jpg", _resized_jpeg(65_000), "too_many_pixels")
    yield attack(
        "JPEG of 24 MP with data for 0.1", "jpg", _resized_jpeg(4_900), ACCEPTED, "truncated"
    )
    yield attack("JPEG with 2,000 scans", "jpg", _many_scans(), "not_an_image")
    frames = [Image.new("P", (400, 400), shade) for shade in range(60)]
    yield attack("GIF of 60 frames", "gif", _animated(frames, "GIF"), "unsupported_type")


def animations() -> Iterator[Attack]:
    """More than one picture in a file."""
    frames = [images.lesion(160, 120, seed=seed) for seed in range(3)]
    yield attack("animated PNG", "png", _animated(frames, "PNG"), "animated")
    yield attack("animated WebP", "webp", _animated(frames, "WEBP"), "animated")
    yield attack("TIFF of three pages", "tiff", _animated(frames, "TIFF"), "animated")
    pages = [Image.new("1", (100, 100)) for _ in range(300)]
    yield attack("TIFF of 300 pages", "tiff", _animated(pages, "TIFF"), "animated")
    yield attack("a phone's MPO", "jpg", _animated(frames, "MPO"), ACCEPTED)


def polyglots() -> Iterator[Attack]:
    """Files that are a second thing to somebody else."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("evil.class", MARK)
    script = b"<script>alert('" + MARK + b"')</script>"
    jpeg, picture = images.jpeg(), images.encode(images.lesion(), "PNG")
    yield attack("JPEG and ZIP", "jpg", jpeg + archive.getvalue(), ACCEPTED)
    yield attack("PNG and HTML", "png", picture + script, ACCEPTED)
    yield attack(
        "JPEG with a script as comment",
        "jpg",
        images.encode(images.lesion(), comment=script),
        ACCEPTED,
    )
    yield attack("JPEG and PHP", "jpg", jpeg + b"<?php echo '" + MARK + b"'; ?>", ACCEPTED)
    yield attack(
        "GIF and JAR",
        "jpg",
        _animated([Image.new("P", (120, 120))], "GIF") + archive.getvalue(),
        "unsupported_type",
    )
    yield attack("PDF and JPEG", "jpg", b"%PDF-1.7\n" + jpeg, "unsupported_type")
    yield attack("HTML and JPEG", "jpg", script + jpeg, "not_an_image")
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", MARK.decode() * 50)
    text.add_text("Comment", script.decode())
    yield attack(
        "PNG with XMP and comment",
        "png",
        images.encode(images.lesion(), "PNG", pnginfo=text),
        ACCEPTED,
    )


def truncations() -> Iterator[Attack]:
    """Each kind, cut at every tenth."""
    for extension, kind in KINDS.items():
        whole = images.encode(images.lesion(160, 120), kind)
        for tenth in range(1, 10):
            cut = whole[: len(whole) * tenth // 10]
            yield attack(f"{extension} cut at {tenth}0%", extension, cut, "truncated")


def lies() -> Iterator[Attack]:
    """Say one thing in the name, the type or the first bytes, and be another."""
    jpeg, picture = images.jpeg(), images.encode(images.lesion(), "PNG")
    yield attack("PNG called JPEG", "jpg", picture, "unsupported_type")
    yield attack("JPEG called PNG", "png", jpeg, "unsupported_type")
    yield Attack("PNG typed JPEG", picture, ("unsupported_type",), "a.png", "image/jpeg")
    yield Attack("JPEG typed HTML", jpeg, ("unsupported_type",), "a.jpg", "text/html")
    yield Attack("JPEG called .php", jpeg, ("unsupported_type",), "a.php", "image/jpeg")
    yield Attack("JPEG called .jpg.exe", jpeg, ("unsupported_type",), "a.jpg.exe", "image/jpeg")
    yield attack("only a JPEG's magic", "jpg", b"\xff\xd8\xff", "truncated")
    yield attack("only a PNG's magic", "png", PNG_START, "truncated")
    yield attack("a JPEG's magic and noise", "jpg", b"\xff\xd8\xff" + _noise(5_000), "truncated")
    yield attack("a PNG's magic and noise", "png", PNG_START + _noise(5_000), "truncated")
    yield attack("a TIFF's magic and noise", "tiff", b"II*\0" + _noise(5_000), "truncated")
    yield attack(
        "a WebP's magic and noise", "webp", b"RIFF\xff\xff\xff\x7fWEBP" + _noise(5_000), "truncated"
    )
    yield attack(
        "a HEIC's magic and noise", "heic", b"\0\0\0\x18ftypheic" + _noise(5_000), "truncated"
    )
    yield attack("a TIFF with 65,535 tags", "tiff", _overlong_tiff(), ACCEPTED, "truncated")
    for name in HOSTILE_NAMES:
        yield attack(f"a name like {name[:20]!r}", "jpg", jpeg, ACCEPTED, filename=name)


HOSTILE_NAMES: Final = (
    "../../../../etc/cron.d/evil.jpg",
    "..\\..\\windows\\evil.jpg",
    "<img src=x onerror=alert(1)>.jpg",
    "=cmd|' /C calc'!A0.jpg",
    "a" * 4000 + ".jpg",
    "\u202egpj.exe.jpg",
    "CON.jpg",
    "nul\x00l.jpg",
    "line\r\nX-Evil: 1.jpg",
    "%2e%2e%2fevil.jpg",
    "${jndi:ldap://evil}.jpg",
)


def foreign() -> Iterator[Attack]:
    """Kinds that are not accepted."""
    picture = images.lesion(160, 120)
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
    for name, content in {
        "SVG": svg,
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 200 200\n",
        "PDF": b"%PDF-1.7\n1 0 obj\n",
        "PSD": b"8BPS\0\1" + b"\0" * 200,
        "ZIP": b"PK\3\4" + b"\0" * 200,
        "gzip": b"\x1f\x8b" + b"\0" * 200,
        "DICOM": b"\0" * 128 + b"DICM" + b"\0" * 200,
        "GIF": images.encode(picture, "GIF"),
        "BMP": images.encode(picture, "BMP"),
        "ICO": images.encode(picture, "ICO"),
        "JPEG 2000": images.encode(picture, "JPEG2000"),
        "AVIF": b"\0\0\0\x1cftypavif" + b"\0" * 200,
        "video": b"\0\0\0\x1cftypmp42" + b"\0" * 200,
    }.items():
        for filename in ("lesion.jpg", "lesion"):
            yield attack(
                f"{name} as {filename}", "jpg", content, "unsupported_type", filename=filename
            )
    yield attack("nothing", "jpg", b"", "not_an_image")
    yield attack("zeros", "jpg", b"\0" * 10_000, "not_an_image")
    yield attack("noise", "jpg", _noise(10_000), "not_an_image")
    yield attack("text", "jpg", b"GET / HTTP/1.1\r\n" * 100, "not_an_image")
    yield attack("HTML", "jpg", b"<!doctype html><script>alert(1)</script>", "not_an_image")
    yield attack("a program", "jpg", b"\x7fELF" + b"\0" * 1000, "not_an_image")
    yield attack("pickle", "jpg", b"\x80\x04cposix\nsystem\n", "not_an_image")


def odd() -> Iterator[Attack]:
    """Honest files of unusual kinds, and metadata out of all proportion."""
    picture = images.lesion(160, 120)
    grey = np.asarray(picture.convert("L"), dtype=np.uint16) * 257
    yield attack("16 bit grey PNG", "png", images.encode(Image.fromarray(grey), "PNG"), ACCEPTED)
    yield attack("16 bit grey TIFF", "tiff", images.encode(Image.fromarray(grey), "TIFF"), ACCEPTED)
    yield attack("CMYK JPEG", "jpg", images.encode(picture.convert("CMYK")), ACCEPTED)
    yield attack("CMYK TIFF", "tiff", images.encode(picture.convert("CMYK"), "TIFF"), ACCEPTED)
    yield attack("palette PNG", "png", images.encode(picture.convert("P"), "PNG"), ACCEPTED)
    yield attack("alpha PNG", "png", images.encode(picture.convert("RGBA"), "PNG"), ACCEPTED)
    yield attack("alpha WebP", "webp", images.encode(picture.convert("RGBA"), "WEBP"), ACCEPTED)
    yield attack(
        "black and white TIFF", "tiff", images.encode(picture.convert("1"), "TIFF"), ACCEPTED
    )
    yield attack(
        "floating point TIFF",
        "tiff",
        images.encode(picture.convert("F"), "TIFF"),
        "unsupported_type",
    )
    yield attack(
        "1 × 10,000", "png", images.encode(Image.new("RGB", (1, 10_000)), "PNG"), "too_small"
    )
    yield attack("60,000 × 1", "jpg", images.encode(Image.new("RGB", (60_000, 1))), "too_small")
    yield attack("1 × 1", "png", images.encode(Image.new("RGB", (1, 1)), "PNG"), "too_small")
    yield attack("0 × 0", "png", png(0, 0, zlib.compress(b"")), "truncated", "too_small")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield attack(
        "2 MB of ICC",
        "jpg",
        images.encode(picture, icc_profile=profile + MARK + _noise(2_000_000)),
        ACCEPTED,
    )
    yield attack(
        "an ICC that is noise", "jpg", images.encode(picture, icc_profile=_noise(5_000)), ACCEPTED
    )
    yield attack(
        "an ICC cut short",
        "png",
        images.encode(picture, "PNG", icc_profile=profile[:200]),
        ACCEPTED,
    )
    yield attack(
        "60 kB of EXIF", "jpg", images.encode(picture, exif=_exif(comment=MARK * 1_800)), ACCEPTED
    )
    yield attack(
        "EXIF that is noise",
        "jpg",
        images.encode(picture, exif=b"Exif\0\0" + _noise(9_000)),
        ACCEPTED,
    )
    yield attack(
        "10 MB of XMP",
        "jpg",
        _with_segments(images.encode(picture), 0xE1, MARK * 3_500, 160),
        ACCEPTED,
    )
    yield attack(
        "GPS", "heic", images.encode(picture, "HEIF", exif=_exif(comment=MARK).tobytes()), ACCEPTED
    )


def oriented(orientation: int, extension: str = "jpg") -> Attack:
    """Return a photo that is upright only if its EXIF is obeyed; it holds a place, too."""
    exif = _exif(comment=MARK)
    exif[0x0112] = orientation
    content = images.encode(images.lesion(200, 120), KINDS[extension], exif=exif.tobytes())
    return attack(f"orientation {orientation}", extension, content, ACCEPTED)


def png(width: int, height: int, data: bytes, *, before: bytes = b"") -> bytes:
    """Write a PNG of 8-bit RGB with the compressed `data`, whatever they are."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG_START + chunk(b"IHDR", header) + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    """Write a PNG chunk."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _rows(width: int, height: int) -> bytes:
    return (b"\0" + b"\xc8" * (3 * width)) * height


def _text_bomb(kind: bytes, flood: bytes) -> bytes:
    between = {b"zTXt": b"Comment\0\0", b"iTXt": b"Comment\0\1\0\0\0", b"iCCP": b"profile\0\0"}
    return chunk(kind, between[kind] + flood)


def _animated(frames: list[Image.Image], kind: str) -> bytes:
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _resized_webp() -> bytes:
    content = bytearray(images.encode(images.lesion(160, 120), "WEBP", lossless=True))
    at = content.index(b"VP8L") + 9
    (bits,) = struct.unpack_from("<I", content, at)
    struct.pack_into("<I", content, at, bits | 0x0FFF_FFFF)  # 14 bits of width, 14 of height
    return bytes(content)


def _resized_heic(side: int) -> bytes:
    content = bytearray(images.encode(images.lesion(160, 120), "HEIF"))
    at = content.index(b"ispe") + 8  # after the box's version and flags
    struct.pack_into(">II", content, at, side, side)
    return bytes(content)


def _resized_tiff(side: int) -> bytes:
    content = bytearray(images.encode(images.lesion(160, 120), "TIFF"))
    (directory,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, directory)
    for entry in range(entries):
        at = directory + 2 + 12 * entry
        (tag,) = struct.unpack_from("<H", content, at)
        if tag in {256, 257}:
            struct.pack_into("<HHII", content, at, tag, 4, 1, side)
    return bytes(content)


def _overlong_tiff() -> bytes:
    content = bytearray(images.encode(images.lesion(160, 120), "TIFF"))
    (directory,) = struct.unpack_from("<I", content, 4)
    struct.pack_into("<H", content, directory, 0xFFFF)
    return bytes(content)


def _resized_jpeg(side: int) -> bytes:
    content = bytearray(images.jpeg())
    at = content.index(b"\xff\xc0")
    struct.pack_into(">HH", content, at + 5, side, side)
    return bytes(content)


def _many_scans() -> bytes:
    plain = images.encode(images.lesion(160, 120), progressive=True)
    last = plain[plain.rindex(b"\xff\xda") : -2]
    return plain[:-2] + last * 2_000 + b"\xff\xd9"


def _with_segments(jpeg: bytes, marker: int, content: bytes, times: int) -> bytes:
    segment = struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    return jpeg[:2] + segment * times + jpeg[2:]


def _exif(*, comment: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = comment.decode()
    exif[0x9286] = comment
    place = exif.get_ifd(0x8825)
    place[1], place[2] = "N", (41.0, 23.0, 6.0)
    place[3], place[4] = "E", (2.0, 10.0, 30.0)
    return exif


def _noise(length: int) -> bytes:
    return np.random.default_rng(7).bytes(length)


GROUPS: Final = (bombs, animations, polyglots, truncations, lies, foreign, odd)


def padded(length: int) -> bytes:
    """Return a JPEG with a tail, of `length` bytes in all."""
    jpeg = images.jpeg()
    return jpeg + os.urandom(length - len(jpeg))
