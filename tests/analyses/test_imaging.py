"""Every kind of picture has one meaning: upright 8-bit sRGB, rebuilt from pixels."""

from __future__ import annotations

import contextlib
import io
import resource
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from analyses import imaging
from analyses.exceptions import (
    AnimatedError,
    EmptyFileError,
    IntakeError,
    NotAnImageError,
    TooManyPixelsError,
    TooSmallError,
    TruncatedError,
    TypeMismatchError,
    UnsupportedTypeError,
)
from analyses.formats import Format, check_agreement
from tests import images

MAX_PIXELS = 25_000_000
MIN_SIDE = 96
RED, GREEN, BLUE, GREY = (210, 40, 30), (30, 160, 60), (40, 60, 200), (128, 128, 128)


def decode(data: bytes) -> imaging.DecodedImage:
    return imaging.decode(data, max_pixels=MAX_PIXELS, min_side=MIN_SIDE)


def quadrants() -> Image.Image:
    """Draw red, green over blue, grey; wider than high."""
    image = Image.new("RGB", (240, 160), RED)
    image.paste(GREEN, (120, 0, 240, 80))
    image.paste(BLUE, (0, 80, 120, 160))
    image.paste(GREY, (120, 80, 240, 160))
    return image


def corners(pixels: np.ndarray) -> list[np.ndarray]:
    return [pixels[8, 8], pixels[8, -8], pixels[-8, 8], pixels[-8, -8]]


def assert_close(found: np.ndarray, expected: tuple[int, ...], tolerance: int = 8) -> None:
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= tolerance, (found, expected)


@pytest.mark.parametrize(
    ("pillow_format", "options", "found"),
    [
        ("JPEG", {}, Format.JPEG),
        ("PNG", {}, Format.PNG),
        ("WEBP", {"lossless": True}, Format.WEBP),
        ("TIFF", {}, Format.TIFF),
        ("TIFF", {"compression": "tiff_lzw"}, Format.TIFF),
        ("HEIF", {}, Format.HEIC),
    ],
)
def test_each_accepted_format_becomes_the_same_pixels(
    pillow_format: str, options: dict[str, object], found: Format
) -> None:
    decoded = decode(images.encode(quadrants(), pillow_format, **options))
    assert (decoded.width, decoded.height, decoded.format) == (240, 160, found)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.shape == (160, 240, 3)
    for pixel, colour in zip(corners(decoded.pixels), (RED, GREEN, BLUE, GREY), strict=True):
        assert_close(pixel, colour)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_photos_are_turned_upright(pillow_format: str, orientation: int) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    lying = quadrants().transpose(turns[orientation]) if orientation in turns else quadrants()
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(images.encode(lying, pillow_format, exif=exif))
    assert (decoded.width, decoded.height) == (240, 160)
    for pixel, colour in zip(corners(decoded.pixels), (RED, GREEN, BLUE, GREY), strict=True):
        assert_close(pixel, colour)


def test_a_turned_heic_is_upright_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = quadrants().transpose(Image.Transpose.ROTATE_90)
    decoded = decode(images.encode(lying, "HEIF", exif=exif.tobytes()))
    assert (decoded.width, decoded.height) == (240, 160)
    assert_close(corners(decoded.pixels)[0], RED)


def test_damaged_exif_does_not_refuse_the_photo() -> None:
    decoded = decode(
        images.encode(quadrants(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    )
    assert (decoded.width, decoded.height) == (240, 160)


def test_colours_are_converted_through_the_embedded_profile() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    assert lab.tobytes() != srgb.tobytes()
    swapped = bytearray(srgb.tobytes())
    red, green = swapped.index(b"rXYZ"), swapped.index(b"gXYZ")
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    decoded = decode(images.encode(quadrants(), "PNG", icc_profile=bytes(swapped)))
    assert_close(corners(decoded.pixels)[0], (40, 210, 30), 12)
    assert_close(corners(decoded.pixels)[3], GREY)


@pytest.mark.parametrize("profile", [b"not a profile", b"\x00" * 200])
def test_a_profile_that_cannot_be_read_counts_as_srgb(profile: bytes) -> None:
    decoded = decode(images.encode(quadrants(), "PNG", icc_profile=profile))
    assert_close(corners(decoded.pixels)[0], RED, 0)


def test_a_profile_of_another_kind_of_picture_is_left_aside() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    decoded = decode(images.encode(quadrants(), "PNG", icc_profile=lab))
    assert_close(corners(decoded.pixels)[0], RED, 0)


@pytest.mark.parametrize("pillow_format", ["JPEG", "TIFF"])
def test_cmyk_becomes_the_colours_it_was_made_of(pillow_format: str) -> None:
    decoded = decode(images.encode(quadrants().convert("CMYK"), pillow_format))
    for pixel, colour in zip(corners(decoded.pixels), (RED, GREEN, BLUE, GREY), strict=True):
        assert_close(pixel, colour, 12)


@pytest.mark.parametrize("pillow_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_to_eight(pillow_format: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 240).astype(np.uint16), (160, 1))
    decoded = decode(images.encode(Image.fromarray(ramp), pillow_format))
    expected = np.linspace(0, 255, 240)
    assert np.abs(decoded.pixels[80, :, 0].astype(int) - expected).max() <= 1


def test_sixteen_bit_colour_is_scaled_to_eight() -> None:
    row = b"\x00" + struct.pack(">HHH", *(257 * value for value in RED)) * 160
    body = zlib.compress(row * 120)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 160, 120, 16, 2, 0, 0, 0)), (b"IDAT", body)]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(images._chunk(*c) for c in [*chunks, (b"IEND", b"")])
    assert_close(decode(data).pixels[60, 80], RED, 1)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_thirty_two_bit_samples_are_refused_by_name(mode: str) -> None:
    with pytest.raises(UnsupportedTypeError, match="32 bit"):
        decode(images.encode(Image.new(mode, (120, 120), 7), "TIFF"))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(mode: str) -> None:
    picture = Image.new("RGBA", (160, 120), (*RED, 0))
    picture.paste((*GREY, 255), (80, 0, 160, 120))
    if mode == "P":
        data = images.encode(picture.quantize(4), "PNG")
    else:
        data = images.encode(picture.convert(mode), "PNG")
    pixels = decode(data).pixels
    assert_close(pixels[60, 20], (255, 255, 255), 2)
    assert_close(pixels[60, 140], GREY, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_and_palettes_become_three_channels(mode: str) -> None:
    white = Image.new("L", (160, 120), 255).convert(mode)
    assert_close(decode(images.encode(white, "PNG")).pixels[60, 80], (255, 255, 255), 0)


def test_nothing_but_pixels_survives() -> None:
    secret = b"SECRET-37.7749N"
    exif = Image.Exif()
    exif[0x010E] = secret.decode()
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", secret.decode())
    for data in (
        images.encode(images.lesion(), "JPEG", exif=exif, comment=secret) + secret,
        images.encode(images.lesion(), "PNG", pnginfo=info, exif=exif) + secret,
        images.encode(images.lesion(), "WEBP", exif=exif, xmp=secret) + secret,
    ):
        assert secret in data
        decoded = decode(data)
        assert secret not in imaging.pack(decoded.pixels)


def test_pixels_are_packed_without_loss() -> None:
    pixels = np.asarray(images.lesion(hair=4))
    assert np.array_equal(imaging.unpack(imaging.pack(pixels)), pixels)
    with pytest.raises(ValueError, match="mark"):
        imaging.unpack(b"XXXX" + imaging.pack(pixels)[4:])


def test_a_phones_mpo_counts_as_its_first_frame() -> None:
    buffer = io.BytesIO()
    quadrants().save(
        buffer, "MPO", save_all=True, append_images=[images.noise(240, 160)], quality=95
    )
    assert Image.open(io.BytesIO(buffer.getvalue())).n_frames == 2
    decoded = decode(buffer.getvalue())
    assert decoded.format is Format.JPEG
    assert_close(corners(decoded.pixels)[0], RED)


@pytest.mark.parametrize("pillow_format", ["PNG", "WEBP", "TIFF"])
def test_moving_pictures_and_several_pages_are_refused(pillow_format: str) -> None:
    frames = [images.noise(seed=seed) for seed in range(3)]
    data = images.encode(frames[0], pillow_format, save_all=True, append_images=frames[1:])
    with pytest.raises(AnimatedError, match="3 pictures"):
        decode(data)


@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_truncated_file_is_refused(pillow_format: str, share: float) -> None:
    data = images.encode(images.noise(), pillow_format)
    with pytest.raises(TruncatedError):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
def test_damaged_bytes_make_a_named_error_or_a_picture(pillow_format: str) -> None:
    data = images.encode(images.noise(seed=3), pillow_format)
    random = np.random.default_rng(0)
    for _ in range(25):
        damaged = bytearray(data)
        for position in random.integers(12, len(data), 40):
            damaged[position] = random.integers(0, 256)
        with contextlib.suppress(IntakeError):
            assert decode(bytes(damaged)).pixels.shape[2] == 3


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyFileError),
        (b"\x00" * 500, NotAnImageError),
        (b"just words", NotAnImageError),
        (b"GIF89a" + b"\x00" * 50, UnsupportedTypeError),
        (b"BM" + b"\x00" * 50, UnsupportedTypeError),
        (b"%PDF-1.7\n", UnsupportedTypeError),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", UnsupportedTypeError),
        (b"8BPS\x00\x01", UnsupportedTypeError),
        (b"PK\x03\x04", UnsupportedTypeError),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', UnsupportedTypeError),
        (b"\x00" * 128 + b"DICM", UnsupportedTypeError),
        (b"\x00\x00\x00\x20ftypavif", UnsupportedTypeError),
        (b"\x00\x00\x00\x20ftypisom", UnsupportedTypeError),
        (b"\xff\xd8\xff\xe0" + b"\x00" * 40, TruncatedError),
        (b"\x89PNG\r\n\x1a\n", TruncatedError),
        (b"II*\x00\x08\x00\x00\x00\xff\xff", TruncatedError),
    ],
)
def test_what_is_no_picture_is_refused_by_name(data: bytes, error: type[IntakeError]) -> None:
    with pytest.raises(error):
        decode(data)


def test_a_small_photo_passes_and_a_smaller_one_does_not() -> None:
    assert decode(images.jpeg(200, 150)).height == 150
    assert decode(images.jpeg(96, 96)).width == 96
    with pytest.raises(TooSmallError, match="95"):
        decode(images.jpeg(200, 95))


def test_a_progressive_jpeg_of_endless_scans_is_refused_at_once() -> None:
    data = images.encode(images.noise(), "JPEG", progressive=True)
    scan = data.index(b"\xff\xda")
    with pytest.raises(NotAnImageError):
        decode(data[:scan] + data[scan:-2] * 40 + b"\xff\xd9")


def test_a_bomb_is_refused_from_its_header_within_a_second_and_little_memory() -> None:
    bomb = images.png_with_header_size(13_000, 13_000)
    assert len(bomb) < 1_000_000
    program = (
        "import resource, sys, time\n"
        "from django.conf import settings; settings.configure(USE_I18N=False)\n"
        "from analyses import imaging\n"
        "from analyses.exceptions import TooManyPixelsError\n"
        "data = sys.stdin.buffer.read()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "started = time.perf_counter()\n"
        "try:\n"
        "    imaging.decode(data, max_pixels=25_000_000, min_side=96)\n"
        "except TooManyPixelsError:\n"
        "    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "    print(grown, time.perf_counter() - started)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=bomb,
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    grown, seconds = done.stdout.split()
    assert int(grown) < 20_000  # kB; decoded it would be 507 MB
    assert float(seconds) < 1


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (5001, 5000), (2**31 - 1, 1000)])
def test_the_pixel_cap_is_read_from_the_header(width: int, height: int) -> None:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + images._chunk(b"IHDR", header) + images._chunk(b"IDAT", b"x")
    most, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(TooManyPixelsError, match="25 million"):
        decode(data)
    assert time.process_time() - started < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 20_000  # kB


@pytest.mark.parametrize(
    ("name", "media_type", "fits"),
    [
        ("a.jpg", "image/jpeg", True),
        ("A.JPEG", "image/jpeg; charset=binary", True),
        ("image", "", True),
        ("a.jpg", "application/octet-stream", True),
        ("<img src=x onerror=alert(1)>.jpg", "image/jpeg", True),
        ("a.png", "image/jpeg", False),
        ("a.jpg", "image/png", False),
        ("a.jpg.php", "image/jpeg", False),
        ("a.svg", "image/svg+xml", False),
        ("a.jpg", "text/html", False),
    ],
)
def test_name_type_and_content_must_agree(name: str, media_type: str, fits: bool) -> None:
    if fits:
        check_agreement(Format.JPEG, name=name, media_type=media_type)
    else:
        with pytest.raises(TypeMismatchError):
            check_agreement(Format.JPEG, name=name, media_type=media_type)
