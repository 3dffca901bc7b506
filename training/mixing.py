"""Photos of a batch laid over one another: mixup (Zhang 2018) and CutMix (Yun 2019).

torchvision's v2 transforms of these names take one class number per photo; labels here may allow
several, so a mixed photo keeps both of its labels and how much of each it shows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from training.augment import Augmentation
    from training.losses import Criterion

_MIXED: Final = 3
"""The dimensions of what mixed photos are to be told: photos × 2 × columns."""


def mix(
    x: Tensor, allowed: Tensor, how: Augmentation, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Mix each photo of `x`, B × 3 × H × W, with the one as far from the batch's other end.

    Where `how` has both ways, each batch is mixed by one of them, at even odds. Returns the photos
    and float32 B × 2 × columns: the columns that the photo's own and the other's label allow, bool
    `allowed` B × columns, as the share in [0, 1] of each in what is seen now.

    >>> import numpy as np
    >>> from training.augment import Augmentation
    >>> x, allowed = torch.rand(4, 3, 8, 8), torch.eye(4).bool()
    >>> _, target = mix(x, allowed, Augmentation(cutmix=1.0), np.random.default_rng(1))
    >>> target[0].tolist()
    [[0.625, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.375]]
    """
    ways = [(way, alpha) for way, alpha in ((_blend, how.mixup), (_paste, how.cutmix)) if alpha]
    way, alpha = ways[int(rng.integers(len(ways)))]
    mixed, own = way(x, float(rng.beta(alpha, alpha)), rng)
    both = torch.stack([allowed * own, allowed.flip(0) * (1 - own)], 1)
    return mixed, both.float()


def loss(criterion: Criterion, output: Tensor, target: Tensor) -> Tensor:
    """Return the criterion's mean over a batch, mixed by `mix` or not (`target` bool B × columns).

    Of mixed photos it is the mean over both labels, each as much as is seen of it.
    """
    if target.ndim != _MIXED:
        return criterion(output, target)
    total = output.new_zeros((), dtype=torch.float32)
    for label in target.unbind(1):
        share = label.amax()
        if share > 0:
            total = total + share * criterion(output, label > 0)
    return total


def _blend(x: Tensor, own: float, _rng: np.random.Generator) -> tuple[Tensor, float]:
    return torch.lerp(x.flip(0), x, own), own


def _paste(x: Tensor, own: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Paste a rectangle of the other photo, of the frame's shape; what it hides may be cut off."""
    height, width = x.shape[-2:]
    half = math.sqrt(1 - own) / 2
    middle = rng.random(2)
    (top, left), (bottom, right) = (
        (round(height * min(max(y, 0), 1)), round(width * min(max(z, 0), 1)))
        for y, z in (middle - half, middle + half)
    )
    mixed = x.clone()
    mixed[..., top:bottom, left:right] = x.flip(0)[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)
