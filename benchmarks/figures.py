"""What the figures of the networks are called: one column a precision, named alike."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Figures: TypeAlias = dict[str, float | int | str | None]
"""What is told, by name; None where this machine cannot say."""

Kind: TypeAlias = Literal["float32", "bfloat16", "int8"]
"""In which numbers the members are computed."""

SHORT: Final[dict[Kind, str]] = {"float32": "fp32", "bfloat16": "bf16", "int8": "int8"}
PRECISIONS: Final[tuple[Kind, ...]] = ("float32", "bfloat16")
ANCHOR: Final = "anchor_ms"
"""The one figure that float32 has nothing like: what sets bfloat16 right."""


def complete(told: Figures) -> Figures:
    """Return `told` with None for each figure of bfloat16 that float32 has and bfloat16 lacks."""
    fp32, bf16 = SHORT["float32"], SHORT["bfloat16"]
    alike = [name.replace(fp32, bf16) for name in told if fp32 in name]
    return dict.fromkeys([*alike, ANCHOR]) | told
