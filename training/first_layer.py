"""A pretrained first convolution, converted to another way of reading pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from inference_worker.manifest import Input

_LEVELS: Final = 255.0
_TOLERANCE: Final = 0.005
"""Half a percent of a pixel's range: Caffe's means and ImageNet's differ by .002 at most."""


class ReadingError(ValueError):
    """The pretrained weights cannot be made to read pixels as the recipe does."""


def convert(
    weights: Mapping[str, Tensor], trained: Mapping[str, Any], reads: Input
) -> dict[str, Tensor]:
    """Return `weights` that say of pixels read as `reads` what they said of RGB as `trained`.

    `trained` is timm's `pretrained_cfg`: ``first_conv``, ``mean`` and ``std`` of RGB in [0, 1].
    A pixel is read as ``(pixel / scale − mean) / std``, so the convolution's weights are multiplied
    by ``std · scale / 255 / trained std`` per channel, and stand in the order of the channels read.
    Another mean would need a bias, and differ along the zero-padded edges. Raises `ReadingError`
    where the means differ, or where there is no first convolution to convert.
    """
    bgr = reads.channel_order == "BGR"
    mean, std = (
        torch.tensor(values[::-1] if bgr else values) * (reads.scale / _LEVELS)
        for values in (reads.mean, reads.std)
    )
    factor = std / torch.tensor(trained["std"])
    if (mean - torch.tensor(trained["mean"])).abs().max() > _TOLERANCE:
        raise ReadingError(
            f"the recipe's input has the RGB means {[round(m, 3) for m in mean.tolist()]} in "
            f"[0, 1], the pretrained weights {list(trained['mean'])}: set 'mean' in the recipe's "
            "input to these"
        )
    if not bgr and torch.allclose(factor, torch.ones(3), rtol=1e-4):
        return dict(weights)
    name = f"{trained.get('first_conv')}.weight"
    if name not in weights:
        raise ReadingError(f"the pretrained weights have no first convolution {name!r} to convert")
    first = weights[name] * factor.view(1, 3, 1, 1)
    return {**weights, name: first.flip(1) if bgr else first}
