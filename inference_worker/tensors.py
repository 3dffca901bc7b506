"""From pixels to what a network reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from inference_worker.pixels import Pixels

ChannelOrder: TypeAlias = Literal["RGB", "BGR"]


class Normalisation(Protocol):
    """How a network was trained to read pixels: (pixel / `scale` − `mean`) / `std` per channel.

    `mean` and `std` stand in the network's own `channel_order`.
    """

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean per channel, after scaling."""
        ...

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation per channel, after scaling."""
        ...

    @property
    def channel_order(self) -> ChannelOrder:
        """The order of the network's channels."""
        ...

    @property
    def scale(self) -> float:
        """What the pixels 0–255 are divided by."""
        ...


def to_tensor(pixels: Pixels, how: Normalisation, device: torch.device) -> Tensor:
    """Return float32 3 × height × width of `pixels`, uint8 height × width × 3 RGB."""
    ordered = pixels[..., ::-1] if how.channel_order == "BGR" else pixels
    scaled = np.ascontiguousarray(ordered.transpose(2, 0, 1), np.float32) / np.float32(how.scale)
    mean = np.asarray(how.mean, np.float32)[:, None, None]
    std = np.asarray(how.std, np.float32)[:, None, None]
    return torch.from_numpy((scaled - mean) / std).to(device)
