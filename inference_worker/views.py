"""The views of one photo that the ensemble looks at (test-time augmentation).

All views of a photo make one batch. Flipping both ways is the same as turning by 180°: where a
bundle asks for both, the view is computed once and counts twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

IDENTITY: Final = "identity"
_MARGIN: Final = 0.05


class UnknownViewError(ValueError):
    """A bundle asks for a view that this version lacks, or for none."""

    code = "bundle_invalid"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which views to compute, and how often each counts.

    `names` are unique; `weights` count the views of the bundle that each stands for.
    """

    names: tuple[str, ...]
    weights: tuple[int, ...]

    @property
    def total(self) -> int:
        """Return how many views the bundle asks for."""
        return sum(self.weights)

    def identity_first(self) -> Plan:
        """Return the plan with the photo as it stands in front; without weight if not asked for."""
        weights = dict(zip(self.names, self.weights, strict=True))
        ordered = {IDENTITY: weights.pop(IDENTITY, 0)} | weights
        return Plan(names=tuple(ordered), weights=tuple(ordered.values()))


def plan(names: Sequence[str]) -> Plan:
    """Plan the views called `names`. Raises `UnknownViewError`."""
    if unknown := [name for name in names if name not in _VIEWS]:
        msg = f"unknown views {unknown}: this version has {', '.join(_VIEWS)}"
        raise UnknownViewError(msg)
    if not names:
        msg = f"no view at all: name at least one of {', '.join(_VIEWS)}"
        raise UnknownViewError(msg)
    counts = Counter(_SAME.get(name, name) for name in names)
    return Plan(names=tuple(counts), weights=tuple(counts.values()))


def batch(image: Tensor, names: Sequence[str]) -> Tensor:
    """Return the views called `names` of `image`.

    `image` float32 3 × side × side; returns len(names) × 3 × side × side.
    """
    return torch.stack([_VIEWS[name](image) for name in names])


def _centre95(image: Tensor) -> Tensor:
    side = image.shape[-1]
    cut = round(side * _MARGIN / 2)
    return _resize(image[:, cut : side - cut, cut : side - cut], side)


def _reflect105(image: Tensor) -> Tensor:
    side = image.shape[-1]
    pad = max(1, round(side * _MARGIN / 2))
    return _resize(functional.pad(image[None], (pad,) * 4, mode="reflect")[0], side)


def _resize(image: Tensor, side: int) -> Tensor:
    return functional.interpolate(
        image[None], size=(side, side), mode="bilinear", align_corners=False, antialias=True
    )[0]


_VIEWS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    IDENTITY: lambda image: image,
    "hflip": lambda image: image.flip(-1),
    "vflip": lambda image: image.flip(-2),
    "hvflip": lambda image: image.flip(-1, -2),
    "rot90": lambda image: image.rot90(1, (-2, -1)),
    "rot180": lambda image: image.rot90(2, (-2, -1)),
    "rot270": lambda image: image.rot90(3, (-2, -1)),
    "centre95": _centre95,
    "reflect105": _reflect105,
}

_SAME: Final = {"rot180": "hvflip"}
