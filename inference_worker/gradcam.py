"""Where the model responded: Grad-CAM (Selvaraju 2017) on the head alone.

The ensemble kept the feature map of the photo as it stands. Only the head runs again, forward and
backward, on a clone of that map; the trunk does not. The target is the log-odds of malignant
against the rest, so that the map answers the question that the gate asks: it shows what raises
p_malignant, whatever the class.

The few lines of it stand here: the library, which the tests and the benchmark compare with, brings
half of scikit-learn and Matplotlib into every worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch

from inference_worker.errors import NonFiniteError
from inference_worker.verdict import Heatmap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from inference_worker.engines import Head
    from inference_worker.ensemble import Activation

LEAST: Final = 0.01
"""Of what the channels weigh in a cell, for and against: a member with a lower peak counts less."""

FAINT: Final = 0.1
"""A mean of the members' maps that is nowhere above this is not stretched to 1, but by so much.

So the whole fades where all peaks are below a thousandth of what the channels weigh: there rounding
shows, and two engines would show two maps."""

_TINY: Final = 1e-7
"""What keeps an empty map from dividing by zero."""


class MalignancyTarget:
    """The log-odds of the malignant outputs against all others, of one row of logits.

    For a sigmoid output these are the logit itself.
    """

    def __init__(self, malignant: Sequence[int], activation: Activation) -> None:
        self._malignant = list(malignant)
        self._activation = activation

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the log-odds, a scalar, of `logits`, one per output."""
        if self._activation == "sigmoid":
            logits = torch.cat([torch.zeros_like(logits), logits])
        benign = [i for i in range(len(logits)) if i not in self._malignant]
        return torch.logsumexp(logits[self._malignant], 0) - torch.logsumexp(logits[benign], 0)


def heatmap(
    heads: Sequence[Head],
    maps: Sequence[Tensor],
    target: MalignancyTarget,
    box: tuple[float, float, float, float],
) -> Heatmap:
    """Return the mean over members of their activation maps, scaled to [0, 1] again.

    It has the finest member's grid; coarser maps are enlarged to it, bilinearly. A mean that is
    nowhere above `FAINT` is scaled as if it were: what hardly a member sees does not glow.

    `maps` hold per member the feature map of the photo as it stands, 1 × channels × height × width;
    `box` is what the networks saw of the photo. A map that is zero all over stays so: then nothing
    raised p_malignant. Raises `NonFiniteError`.
    """
    grids = [member_map(*pair, target) for pair in zip(heads, maps, strict=True)]
    height, width = max(grid.shape for grid in grids)
    mean = np.mean([cv2.resize(grid, (width, height)) for grid in grids], axis=0)
    if not np.isfinite(mean).all():
        raise NonFiniteError("the heat map")
    scaled = mean / max(float(mean.max()), FAINT)
    rows = np.round(np.clip(scaled, 0, 1), 4).tolist()
    return Heatmap(grid=tuple(tuple(row) for row in rows), box=box)


def member_map(head: Head, features: Tensor, target: MalignancyTarget) -> NDArray[np.float32]:
    """Return one member's map, height × width in [0, 1], of `features`, 1 × channels × h × w.

    Channels weighted by the mean of their gradient, summed, what is negative cut off, and stretched
    from 0 to 1; less far where the peak is under `LEAST` of what the weighted channels amount to.
    """
    kept = features.detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(target(head.forward_head(kept)[0]), kept)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    said = weights * kept.detach()
    raised = said.sum(dim=1)[0].clamp_min(0)
    lifted = (raised - raised.min()).cpu().numpy()
    least = LEAST * float(said.abs().sum(dim=1).max())
    return np.asarray(lifted / (max(lifted.max(), least) + _TINY), np.float32)
