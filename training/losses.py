"""Losses. Logits are the contract; the mean over the batch is the only reduction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


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
