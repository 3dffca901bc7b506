"""Every pair of text and background that the pages use is readable, light and dark."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import pytest

CSS = Path(__file__).resolve().parents[2] / "static" / "css"
TOKEN = re.compile(r"--([\w-]+):\s*light-dark\(oklch\(([^)]+)\), oklch\(([^)]+)\)\)")
TEXT, SHAPE = 4.5, 3.0  # WCAG 2.2 AA: 1.4.3 and 1.4.11

TEXT_PAIRS = [
    *((text, ground) for text in ("ink", "ink-soft") for ground in ("paper", "surface", "sunken")),
    *(("brand", ground) for ground in ("paper", "surface", "brand-soft")),
    *(("brand-strong", ground) for ground in ("paper", "surface")),
    *(("error", ground) for ground in ("paper", "surface", "error-soft")),
    *(("ink", f"{tone}-soft") for tone in ("slate", "amber", "rust", "error", "brand")),
    *(("ink-soft", f"{tone}-soft") for tone in ("slate", "amber", "rust", "brand")),
    *((f"{tone}-ink", f"{tone}-soft") for tone in ("slate", "amber", "rust")),
    ("on-brand", "brand"),
    ("on-brand", "brand-strong"),
    ("paper", "ink"),
]
SHAPE_PAIRS = [
    *(
        (f"{tone}-mark", ground)
        for tone in ("slate", "amber", "rust")
        for ground in ("paper", "surface")
    ),
    *(("line-strong", ground) for ground in ("paper", "surface")),
    *(("focus", ground) for ground in ("paper", "surface", "sunken")),
    *(("tissue-line", ground) for ground in ("paper", "surface")),
]


def tokens() -> dict[str, tuple[str, str]]:
    """Return the light and the dark value of each colour token."""
    text = (CSS / "tokens.css").read_text()
    return {name: (light, dark) for name, light, dark in TOKEN.findall(text)}


def luminance(oklch: str) -> float:
    """Relative luminance of an OKLCH colour, clipped into sRGB (Ottosson 2020; WCAG 2.2)."""
    lightness, chroma, hue = (float(v) for v in oklch.split("/", maxsplit=1)[0].split())
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short
    return sum(
        weight * min(max(channel, 0.0), 1.0)
        for weight, channel in ((0.2126, red), (0.7152, green), (0.0722, blue))
    )


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_PAIRS)
def test_text_is_readable_on_its_ground(text: str, ground: str, scheme: int) -> None:
    colours = tokens()

    assert contrast(colours[text][scheme], colours[ground][scheme]) >= TEXT


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("shape", "ground"), SHAPE_PAIRS)
def test_shapes_that_mean_something_stand_out(shape: str, ground: str, scheme: int) -> None:
    colours = tokens()

    assert contrast(colours[shape][scheme], colours[ground][scheme]) >= SHAPE


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_glyphs_tissue_grows_evenly_away_from_the_page(scheme: int) -> None:
    levels = [float(tokens()[f"tissue-{n}"][scheme].split()[0]) for n in range(6)]

    assert levels == sorted(levels, reverse=scheme == 0)
    steps = [abs(b - a) for a, b in itertools.pairwise(levels)]
    assert max(steps) < 2 * min(steps)


def test_no_outcome_is_green() -> None:
    for name, values in tokens().items():
        if name.startswith(("slate", "amber", "rust")):
            for value in values:
                hue = float(value.split()[2])
                assert not 100 < hue < 220, name


def test_raw_colours_stand_in_the_tokens_only() -> None:
    raw = re.compile(r"#[0-9a-fA-F]{3,8}\b|oklch\(|rgba?\(|hsla?\(")
    for sheet in CSS.glob("*.css"):
        if sheet.name != "tokens.css":
            assert not raw.search(sheet.read_text()), sheet.name
