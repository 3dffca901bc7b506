"""The lesion glyph and the heat map: drawn from stored numbers only."""

from __future__ import annotations

import io
import math
import re

import numpy as np
import pytest
from PIL import Image

from analyses import heatmap
from analyses.glyph import BANDS, glyph_of

CIRCLE = [
    (0.5 + 0.2 * math.cos(t), 0.5 + 0.2 * math.sin(t)) for t in np.linspace(0, math.tau, 60)[:-1]
]
GRID = {"grid": [[0.0, 0.2, 0.0], [0.2, 1.0, 0.2], [0.0, 0.2, 0.0]], "box": [0, 0, 1, 1]}
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def extent(path: str) -> tuple[float, float]:
    numbers = [float(n) for n in NUMBER.findall(path)]
    xs, ys = numbers[::2], numbers[1::2]
    return max(xs) - min(xs), max(ys) - min(ys)


def test_the_outline_keeps_its_proportion_in_the_photo() -> None:
    width, height = extent(glyph_of(CIRCLE, None, width=600, height=300).outline)

    assert width / height == pytest.approx(2.0, rel=0.05)


def test_the_outline_fills_its_square_whatever_its_size() -> None:
    small = [(0.5 + (x - 0.5) / 10, 0.5 + (y - 0.5) / 10) for x, y in CIRCLE]

    assert extent(glyph_of(small, None, width=400, height=400).outline) == pytest.approx(
        extent(glyph_of(CIRCLE, None, width=400, height=400).outline), abs=0.5
    )


def test_the_activation_becomes_nested_bands() -> None:
    bands = glyph_of(CIRCLE, GRID, width=400, height=400).bands

    widths = [extent(band)[0] for band in bands]
    assert len(bands) == BANDS
    assert widths == sorted(widths, reverse=True)


def test_a_flat_activation_has_no_bands() -> None:
    flat = {"grid": [[0.5, 0.5], [0.5, 0.5]], "box": [0, 0, 1, 1]}

    assert glyph_of(CIRCLE, flat, width=400, height=400).bands == ()


def test_a_faint_activation_has_no_bands() -> None:
    """Else what hardly raised anything would look like what raised most."""
    faint = GRID | {"grid": [[0.09 * value for value in row] for row in GRID["grid"]]}

    assert glyph_of(CIRCLE, faint, width=400, height=400).bands == ()


def test_without_an_outline_a_circle_stands_in_and_says_so() -> None:
    glyph = glyph_of(None, GRID, width=400, height=300)

    assert not glyph.known_shape
    assert glyph.bands


def test_the_glyph_stays_light() -> None:
    glyph = glyph_of(CIRCLE * 10, GRID, width=400, height=400)

    assert len(glyph.outline) + sum(map(len, glyph.bands)) < 10_000


def test_every_loop_of_a_band_is_closed() -> None:
    rough = {"grid": np.random.default_rng(1).random((9, 9)).tolist(), "box": [0, 0, 1, 1]}

    for band in glyph_of(CIRCLE, rough, width=400, height=400).bands:
        assert band.count("M") == band.count("Z") > 0


def picture(**changes: object) -> Image.Image:
    png = heatmap.render(GRID | changes, width=600, height=300)
    return Image.open(io.BytesIO(png))


def test_the_heat_map_has_the_photos_proportion() -> None:
    assert picture().size == (512, 256)


def test_the_heat_map_is_strongest_where_the_model_responded_most() -> None:
    alpha = np.asarray(picture())[..., 3]

    assert np.unravel_index(alpha.argmax(), alpha.shape) == pytest.approx((128, 256), abs=12)
    assert alpha.max() > 150
    assert alpha[0, 0] < 40


def test_outside_of_what_the_model_saw_nothing_is_drawn() -> None:
    alpha = np.asarray(picture(box=[0.25, 0.0, 0.75, 1.0]))[..., 3]

    assert alpha[:, :120].max() == 0
    assert alpha[:, 400:].max() == 0


def test_the_colours_of_the_heat_map_grow_lighter_evenly() -> None:
    ramp = {"grid": [list(np.linspace(0, 1, 32))], "box": [0, 0, 1, 1]}
    pixels = np.asarray(Image.open(io.BytesIO(heatmap.render(ramp, width=512, height=64))))
    brightness = pixels[32, ::16, :3].astype(float) @ [0.2126, 0.7152, 0.0722]

    assert (np.diff(brightness) > -1).all()
