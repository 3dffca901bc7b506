"""Damaged copies of honest files, as hypothesis draws them."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st
from PIL import Image

from tests import images
from tests.attacks.corpus import KINDS, bombs, odd

MOST_EDITS = 12


@cache
def seeds() -> tuple[bytes, ...]:
    """Return what is damaged: one small file of each kind, and the odd and hostile ones."""
    small = images.lesion(120, 100)
    plain = [images.encode(small, kind) for kind in KINDS.values()]
    plain.append(images.encode(small, progressive=True))
    plain.append(images.encode(small.convert("P"), "PNG"))
    plain.append(images.encode(Image.new("RGB", (100, 100)), "TIFF", compression="tiff_lzw"))
    hostile = [one.content for group in (bombs, odd) for one in group()]
    return (*plain, *(content for content in hostile if len(content) < 60_000))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Overwrite, insert, delete, repeat and cut pieces of one of the seeds."""
    content = bytearray(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(1, MOST_EDITS))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.integers(0, 64))
        match draw(
            st.sampled_from(("flip", "write", "insert", "delete", "repeat", "cut", "header"))
        ):
            case "flip" if content:
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "write":
                content[at : at + 4] = draw(st.sampled_from(NUMBERS))
            case "insert":
                content[at:at] = draw(st.binary(max_size=64))
            case "delete":
                del content[at : at + length]
            case "repeat":
                content[at:at] = content[at : at + length] * draw(st.integers(1, 50))
            case "cut":
                del content[draw(st.integers(0, len(content))) :]
            case "header" if content:
                content[at % min(len(content), 128)] = draw(st.integers(0, 255))
            case _:
                pass
    return bytes(content)


NUMBERS = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80\0\0\0",
    b"\0\0\0\x80",
    b"\0\0\xff\xff",
    b"\0\1\0\0",
)
