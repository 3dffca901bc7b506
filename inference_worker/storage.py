"""Weights as a bundle stores them: float32, half precision, or integers of 8 bits.

Integers hold a convolution's or a linear layer's weights row by row, a row an output channel, as
``round(w / scale)`` with a row's own ``scale = max|w| / 127`` (Jacob 2018, of the weights alone).
They are for size: networks run on the numbers that come out of them again, in float32. Small
layers, the first and the last among them, take up little and their rounding moves answers most:
they are kept in half precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

Storage: TypeAlias = Literal["float32", "half", "int8"]

SCALE: Final = ".scale_of_rows"
"""Added to a tensor's name, it names its scales."""

SMALL: Final = 2**17
"""Fewer weights than this in a tensor are not made integers."""

_LEVELS: Final = 127
_MATRIX: Final = 2


class StorageError(ValueError):
    """Integers without their scales, or scales that do not fit them."""


def pack(tensors: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """Return the tensors as they are stored, on the CPU.

    "half": every floating-point tensor as float16. "int8": what is named a weight, has two or more
    dimensions and is not `SMALL` as int8 with float32 scales beside it, the rest float16.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        kept = tensor.detach().cpu().contiguous()
        is_matrix = kept.ndim >= _MATRIX and name.endswith("weight") and kept.numel() >= SMALL
        if storage == "int8" and kept.dtype.is_floating_point and is_matrix:
            stored[name], stored[name + SCALE] = _integers(kept.float())
        elif storage != "float32" and kept.dtype.is_floating_point:
            stored[name] = kept.half()
        else:
            stored[name] = kept
    return stored


def unpack(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that `pack` was given, as near as it kept them. Raises `StorageError`."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if name.endswith(SCALE):
            if name.removesuffix(SCALE) not in stored:
                raise StorageError(f"{name!r} are the scales of a tensor that is not there")
        elif tensor.dtype == torch.int8:
            tensors[name] = _numbers(name, tensor, stored.get(name + SCALE))
        else:
            tensors[name] = tensor
    return tensors


def _integers(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 of the shape of `weights` and one float32 scale per row."""
    rows = weights.flatten(1)
    # A row of zeros keeps any scale; one of 1 keeps it from dividing by 0.
    peak = rows.abs().amax(1)
    scale = torch.where(peak > 0, peak / _LEVELS, torch.ones_like(peak))
    integers = (rows / scale[:, None]).round().to(torch.int8)
    return integers.view(weights.shape).contiguous(), scale


def _numbers(name: str, integers: Tensor, scale: Tensor | None) -> Tensor:
    if scale is None:
        raise StorageError(f"{name!r} holds integers, but no {name + SCALE!r} stands beside it")
    if integers.ndim < _MATRIX or scale.shape != integers.shape[:1]:
        raise StorageError(
            f"{name!r} has rows {tuple(integers.shape)}, its scales {tuple(scale.shape)}: one each"
        )
    return integers.float() * scale.float().view(-1, *[1] * (integers.ndim - 1))
