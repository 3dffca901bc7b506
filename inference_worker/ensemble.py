"""Members × views: what each network says of each view of one photo.

The engines that run the members stand in `inference_worker.engines`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch

from inference_worker.errors import NonFiniteError, WrongOutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from inference_worker.engines import Engine
    from inference_worker.views import Plan

Activation: TypeAlias = Literal["softmax", "sigmoid"]


@dataclass(frozen=True, slots=True)
class Opinions:
    """What the ensemble said of one photo, before calibration.

    `probabilities` float64 members × views × classes, each row summing to 1; `weights` how often
    each view counts; `maps` per member the feature map of the first view, 1 × channels × height ×
    width.
    """

    probabilities: NDArray[np.float64]
    weights: NDArray[np.float64]
    maps: tuple[Tensor, ...]

    def of_members(self) -> NDArray[np.float64]:
        """Return each member's mean over its views, members × classes."""
        return np.asarray(np.average(self.probabilities, axis=1, weights=self.weights))

    def mean(self) -> NDArray[np.float64]:
        """Return the mean over members and views, one probability per class."""
        return np.asarray(self.of_members().mean(axis=0))


def ask(
    engines: Sequence[Engine], views: Tensor, plan: Plan, *, outputs: int, activation: Activation
) -> Opinions:
    """Let every member judge every view.

    `views` float32 n × 3 × side × side in the order of `plan`; `outputs` is how many the bundle
    says there are. One sigmoid output becomes two classes, not and yes.
    Raises `NonFiniteError`, `WrongOutputError`.
    """
    rows, maps = [], []
    for number, engine in enumerate(engines):
        logits, features = engine.forward(views)
        who = f"member {number}"
        if tuple(logits.shape) != (len(views), outputs):
            expected = (len(views), outputs)
            raise WrongOutputError(who, expected=expected, found=tuple(logits.shape))
        if not (torch.isfinite(logits).all() and torch.isfinite(features[:1]).all()):
            raise NonFiniteError(who)
        rows.append(activate(logits.cpu().double().numpy(), activation))
        maps.append(features[:1])
    return Opinions(
        probabilities=np.stack(rows),
        weights=np.asarray(plan.weights, np.float64),
        maps=tuple(maps),
    )


@dataclass(frozen=True, slots=True)
class Told:
    """A member that has seen a photo's views already: an engine that repeats what it said.

    `logits` float32 n × outputs; `features` those of the first view, 1 × channels × height × width.
    """

    logits: Tensor
    features: Tensor

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002 - an `Engine`
        """Return what the member said."""
        return self.logits, self.features


@dataclass(frozen=True, slots=True)
class Known:
    """What a float32 engine `told` of one `view`, float32 1 × 3 × side × side."""

    view: Tensor
    told: Told


def activate(logits: NDArray[np.float64], activation: Activation) -> NDArray[np.float64]:
    """Return float64 probabilities, n × classes, of `logits`, n × outputs."""
    if activation == "sigmoid":
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
