"""Losses. Logits are the contract; the mean over the batch is the only reduction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Criterion: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Loss:
    """A classifier's loss by `name`.

    "partial_cross_entropy" corrects for how photos are drawn and takes partial labels. The others
    take full labels: "focal" with its `gamma` (0: cross entropy); "bce" of one sigmoid output.
    `balanced` weighs classes by the training fold: focal and cross entropy by 1/n, scaled to a sum
    of one per class; bce its positives by negatives per positive (`pos_weight`).
    """

    name: Literal["partial_cross_entropy", "cross_entropy", "focal", "bce"] = (
        "partial_cross_entropy"
    )
    gamma: float = 2.0
    balanced: bool = False


def criterion(
    loss: Loss, counts: NDArray[np.int64], *, adjustment: Tensor, smoothing: float
) -> Criterion:
    """Return the loss of logits B × outputs and of what each label allows, bool B × columns.

    `counts` photos per column in the training fold; `adjustment` as `partial_cross_entropy` says.
    """
    if loss.name == "partial_cross_entropy":
        return lambda logits, allowed: partial_cross_entropy(
            logits, allowed, adjustment=adjustment.to(logits.device), smoothing=smoothing
        )
    known = torch.from_numpy(counts).double().clamp(min=1)
    if loss.name == "bce":
        pos_weight = (known[0] / known[1]).float() if loss.balanced else torch.tensor(1.0)
        return lambda logits, allowed: functional.binary_cross_entropy_with_logits(
            logits[:, 0].float(),
            allowed[:, 1].float() * (1 - smoothing) + smoothing / 2,
            pos_weight=pos_weight.to(logits.device),
        )
    inverse = 1 / known
    weight = inverse / inverse.sum() * len(known) if loss.balanced else torch.ones(len(known))
    gamma = loss.gamma if loss.name == "focal" else 0.0
    return lambda logits, allowed: focal(
        logits,
        allowed.long().argmax(1),
        gamma=gamma,
        weight=weight.float().to(logits.device),
        smoothing=smoothing,
    )


def focal(
    logits: Tensor, labels: Tensor, *, gamma: float, weight: Tensor, smoothing: float = 0.0
) -> Tensor:
    """Focal loss (Lin 2017, arXiv 1708.02002) of `logits` B × C and class numbers `labels` B.

    `weight` C per class. The mean is over the photos, not over their weights, so that a batch's
    loss does not depend on how it is cut. `smoothing` is the weight of the uniform label.

    >>> logits, labels = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([2])
    >>> plain = functional.cross_entropy(logits, labels)
    >>> bool(torch.isclose(focal(logits, labels, gamma=0.0, weight=torch.ones(3)), plain))
    True
    """
    log_p = functional.log_softmax(logits.float(), dim=1)
    own = log_p.gather(1, labels[:, None])[:, 0]
    smoothed = (1 - smoothing) * own + smoothing * log_p.mean(1)
    return (-weight[labels] * (1 - own.exp()) ** gamma * smoothed).mean()


def partial_cross_entropy(
    logits: Tensor, allowed: Tensor, *, adjustment: Tensor, smoothing: float = 0.0
) -> Tensor:
    """Cross entropy where a label may allow several classes, marginalised over them.

    `logits` B × C; `allowed` bool B × C: a full label allows one class, "not melanoma" all but one.
    `adjustment` C is added to the logits while training: log(prior as sampled / true prior), so
    that the bare logits are calibrated to the true prior (Menon 2021, arXiv 2007.07314).
    `smoothing` in [0, 1) is the weight of the uniform label, for fully labelled photos only.

    >>> logits = torch.tensor([[2.0, 0.0, 1.0]])
    >>> one = torch.tensor([[True, False, False]])
    >>> plain = functional.cross_entropy(logits, torch.tensor([0]))
    >>> bool(torch.isclose(partial_cross_entropy(logits, one, adjustment=torch.zeros(3)), plain))
    True
    """
    if logits.shape != allowed.shape or adjustment.shape != logits.shape[1:]:
        msg = (
            f"expected logits and allowed of one shape B × C and adjustment of C, got "
            f"{tuple(logits.shape)}, {tuple(allowed.shape)}, {tuple(adjustment.shape)}"
        )
        raise ValueError(msg)
    log_p = functional.log_softmax(logits.float() + adjustment, dim=1)
    marginal = -torch.logsumexp(log_p.masked_fill(~allowed, float("-inf")), dim=1)
    full = (allowed.sum(1) == 1).float() * smoothing
    return ((1 - full) * marginal - full * log_p.mean(1)).mean()


def dice_bce(logits: Tensor, target: Tensor, *, dice_weight: float = 0.5) -> Tensor:
    """Binary cross entropy and soft Dice (Milletari 2016), weighted.

    `logits` and `target` (in [0, 1]) B × 1 × H × W. Dice is taken per photo; one is added above and
    below, so that an empty mask met by an empty prediction costs nothing.
    """
    if logits.shape != target.shape:
        msg = f"logits {tuple(logits.shape)} and target {tuple(target.shape)} differ in shape"
        raise ValueError(msg)
    logits = logits.float()
    p = logits.sigmoid()
    overlap = 2 * (p * target).sum((1, 2, 3)) + 1
    dice = 1 - overlap / (p.sum((1, 2, 3)) + target.sum((1, 2, 3)) + 1)
    bce = functional.binary_cross_entropy_with_logits(logits, target)
    return dice_weight * dice.mean() + (1 - dice_weight) * bce
