"""Random views of a batch of photos, drawn per photo and applied to the whole batch as tensors.

torchvision's v2 transforms draw one set of parameters per call, so that a batch would share them;
here each photo has its own, at the cost of one `grid_sample` and one 3 × 3 colour matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from inference_worker.manifest import Input

_LUMA: Final = (0.299, 0.587, 0.114)
_LEVELS: Final = 255.0
_CPU: Final = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far a random view may go.

    `flips` and `quarter_turns` on or off; `rotation` degrees either way; `scale` from and to, below
    1 enlarges; `shift` share of the frame; `stretch` of the aspect, as a share; `brightness`,
    `contrast`, `saturation` as shares either way; `hue` degrees; `cast` share per colour channel.
    `vertical` flips upside down too, which quarter turns do anyway; `noise` is the greatest
    standard deviation of Gaussian noise, of pixels in [0, 1]. `mixup` and `cutmix` are the alpha of
    the symmetric beta distribution of a photo's own share when photos are mixed (`mixing`); 0: not.
    """

    flips: bool = True
    quarter_turns: bool = True
    rotation: float = 20.0
    scale: tuple[float, float] = (0.75, 1.15)
    shift: float = 0.05
    stretch: float = 0.1
    brightness: float = 0.15
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 6.0
    cast: float = 0.05
    vertical: bool = False
    noise: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if self.mixup < 0 or self.cutmix < 0:
            raise ValueError("'mixup' and 'cutmix' are an alpha above 0, or 0 for none")

    @property
    def mixes(self) -> bool:
        """Tell whether photos are mixed with one another."""
        return self.mixup > 0 or self.cutmix > 0


def to_float(pixels: NDArray[np.uint8], device: torch.device = _CPU) -> Tensor:
    """Return uint8 B × H × W × channels as float32 B × channels × H × W in [0, 1], on `device`.

    What travels there are the bytes, not floats of four.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2)
    return tensor.float().div_(_LEVELS)


def as_input(x: Tensor, how: Input) -> Tensor:
    """Return RGB photos in [0, 1] as the network reads them: see `inference_worker.tensors`."""
    if how.channel_order == "BGR":
        x = x.flip(1)
    if how.scale != _LEVELS:
        x = x * (_LEVELS / how.scale)
    return normalise(x, how.mean, how.std)


def normalise(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return (x − mean) / std per channel, laid out channels last."""
    shift = torch.tensor(mean, device=x.device).view(1, 3, 1, 1)
    spread = torch.tensor(std, device=x.device).view(1, 3, 1, 1)
    return ((x - shift) / spread).contiguous(memory_format=torch.channels_last)


def grid(
    n: int, size: int, spec: Augmentation, rng: np.random.Generator, aspect: NDArray[np.float64]
) -> Tensor:
    """Draw where each pixel of `n` random views is taken from: n × size × size × 2.

    `aspect` (n) is each photo's width over height before it was squashed to a square: turns and
    stretches are drawn in the photo's own shape, and a quarter turn makes a portrait.
    """
    quarter = rng.integers(4, size=n) if spec.quarter_turns else np.zeros(n, np.int64)
    angle = np.deg2rad(rng.uniform(-spec.rotation, spec.rotation, n)) + quarter * (math.pi / 2)
    zoom = np.exp(rng.uniform(math.log(spec.scale[0]), math.log(spec.scale[1]), n))
    seen = np.where(quarter % 2 == 1, 1 / aspect, aspect)
    seen = seen * (1 + rng.uniform(-spec.stretch, spec.stretch, n))
    mirror = np.where(rng.random(n) < (0.5 if spec.flips else 0.0), -1.0, 1.0)
    upright = np.where(rng.random(n) < 0.5, -1.0, 1.0) if spec.vertical else np.ones(n)  # noqa: PLR2004 - even odds
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    # From the view's square to its own shape (half height 1), turned, back to the photo's square.
    width = np.where(quarter % 2 == 1, seen * aspect, seen)
    height = np.where(quarter % 2 == 1, aspect, 1.0)
    theta = np.zeros((n, 2, 3))
    theta[:, 0, 0] = mirror * cos * width / aspect
    theta[:, 0, 1] = mirror * -sin * height / aspect
    theta[:, 1, 0] = upright * sin * width
    theta[:, 1, 1] = upright * cos * height
    theta[:, :, 2] = rng.uniform(-spec.shift, spec.shift, (n, 2)) * 2
    return functional.affine_grid(
        torch.from_numpy(theta).float(), [n, 3, size, size], align_corners=False
    )


def warp(x: Tensor, where: Tensor) -> Tensor:
    """Return `x` sampled at `where`, mirrored beyond its edges."""
    return functional.grid_sample(
        x, where, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def recolour(x: Tensor, spec: Augmentation, rng: np.random.Generator) -> Tensor:
    """Change brightness, contrast, saturation, hue and colour cast at random, per photo."""
    n = len(x)
    luma = np.tile(np.array(_LUMA), (3, 1))
    saturation = 1 + rng.uniform(-spec.saturation, spec.saturation, n)
    turn = np.deg2rad(rng.uniform(-spec.hue, spec.hue, n))
    gain = (1 + rng.uniform(-spec.brightness, spec.brightness, n))[:, None] * (
        1 + rng.uniform(-spec.cast, spec.cast, (n, 3))
    )
    contrast = 1 + rng.uniform(-spec.contrast, spec.contrast, n)
    matrix = _hue_turn(turn) @ (
        saturation[:, None, None] * np.eye(3) + (1 - saturation)[:, None, None] * luma
    )
    matrix = matrix * (gain * contrast[:, None])[:, :, None]
    weight = torch.from_numpy(matrix).float().to(x.device)
    middle = x.mean((1, 2, 3)).view(n, 1, 1, 1)
    offset = middle * torch.from_numpy(1 - contrast).float().to(x.device).view(n, 1, 1, 1)
    changed = torch.bmm(weight, x.reshape(n, 3, -1)).view_as(x) + offset
    if spec.noise:
        sigma = torch.from_numpy(rng.uniform(0, spec.noise, (n, 1, 1, 1))).float()
        grain = torch.from_numpy(rng.standard_normal(x.shape, np.float32))
        changed = changed + (grain * sigma).to(x.device)
    return changed.clamp_(0.0, 1.0)


def _hue_turn(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the turns by `angle` about the gray axis (Rodrigues), n × 3 × 3."""
    axis = 1 / math.sqrt(3)
    cross = axis * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.float64)
    sin, cos = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    turned: NDArray[np.float64] = np.eye(3) * cos + sin * cross + (1 - cos) / 3
    return turned
