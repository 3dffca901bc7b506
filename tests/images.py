"""Photos drawn by code, and the files that people and attackers make of them."""

from __future__ import annotations

import io
import math
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SKIN = (222, 178, 160)
LESION = (110, 62, 45)
DARK = (58, 32, 28)


def lesion(
    width: int = 320,
    height: int = 240,
    *,
    seed: int = 0,
    radius: float = 0.28,
    hair: int = 0,
) -> Image.Image:
    """Draw a dermoscopic-like photo: grained skin, an irregular lesion in two browns, hairs."""
    random = np.random.default_rng(seed)
    grain = random.normal(0, 4, (height, width, 1))
    skin = np.clip(np.asarray(SKIN) + grain, 0, 255).astype(np.uint8)
    image = Image.fromarray(skin)
    draw = ImageDraw.Draw(image)
    draw.polygon(_blob(width, height, radius, random), fill=LESION)
    draw.polygon(_blob(width, height, radius * 0.45, random), fill=DARK)
    image = image.filter(ImageFilter.GaussianBlur(max(width, height) / 400))
    draw = ImageDraw.Draw(image)
    for _ in range(hair):
        ends = random.uniform(0, 1, 4)
        draw.line(
            (ends[0] * width, 0, ends[1] * width, height),
            fill=(35, 22, 18),
            width=max(1, width // 200),
        )
    speckle = random.normal(0, 3, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(image) + speckle, 0, 255).astype(np.uint8))


def noise(width: int = 320, height: int = 240, *, seed: int = 0) -> Image.Image:
    """Draw coloured noise: no skin, no lesion."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def text(width: int = 320, height: int = 240) -> Image.Image:
    """Draw a page of text: no skin, no lesion."""
    image = Image.new("RGB", (width, height), (250, 250, 250))
    draw = ImageDraw.Draw(image)
    for row in range(10, height - 10, 16):
        draw.text((10, row), "Lorem ipsum dolor sit amet, consectetur", fill=(20, 20, 20))
    return image


def encode(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:  # noqa: A002
    """Encode with Pillow, as good as the format can."""
    buffer = io.BytesIO()
    if format in {"JPEG", "WEBP", "HEIF"}:
        options.setdefault("quality", 92)
    image.save(buffer, format, **options)
    return buffer.getvalue()


def jpeg(width: int = 320, height: int = 240, *, seed: int = 0) -> bytes:
    """Return an ordinary JPEG of a lesion."""
    return encode(lesion(width, height, seed=seed))


def png_with_header_size(width: int, height: int) -> bytes:
    """Return a small PNG whose header promises `width` × `height` pixels of one colour."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    compressor = zlib.compressobj(9)
    row = b"\x00" + b"\xc8" * (3 * width)
    body = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, content)
        for kind, content in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _blob(
    width: int, height: int, radius: float, random: np.random.Generator
) -> list[tuple[float, float]]:
    side = min(width, height)
    phases = random.uniform(0, 2 * math.pi, 3)
    points = []
    for step in range(72):
        angle = 2 * math.pi * step / 72
        wave = sum(0.08 * math.sin((k + 2) * angle + phases[k]) for k in range(3))
        length = radius * side * (1 + wave)
        points.append((width / 2 + length * math.cos(angle), height / 2 + length * math.sin(angle)))
    return points
