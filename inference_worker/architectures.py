"""The networks that a bundle can name, built without weights.

A classifier has two halves, so that Grad-CAM and the out-of-distribution check can run on the
second alone: `forward_features` (the trunk) and `forward_head` (pool, norm, head). The libraries of
trunks are loaded where one is built: a worker with converted networks at hand never needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import torch
from torch import nn
from torch.nn import functional

from inference_worker.manifest import (
    GLUON_MOBILENET,
    GLUON_RESNET,
    GLUON_UNET,
    ClassifierSpec,
    SegmenterSpec,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ArchitectureError",
    "Classifier",
    "ClassifierSpec",
    "Head",
    "SegmenterSpec",
    "build_classifier",
    "build_head",
    "build_segmenter",
]

HEADS: Final = ("linear", "norm_linear", "mlp", "stack")

_TIMM_MOBILENET: Final = "mobilenetv2_100"
_RESNET_CHANNELS: Final = 1024


class ArchitectureError(ValueError):
    """A bundle names a network, or a part of one, that this version cannot build."""

    code = "bundle_invalid"


class Head(nn.Module):
    """What stands behind the trunk: a feature map, B × channels × h × w, to logits B × outputs."""

    def __init__(self, head: nn.Module, channels: int) -> None:
        super().__init__()
        self.head = head
        self.channels = channels

    def forward_pooled(self, features: Tensor) -> Tensor:
        """Return the feature map's spatial mean, B × channels: what the OOD check measures."""
        return functional.adaptive_avg_pool2d(features, 1).flatten(1)

    def forward_head(self, features: Tensor) -> Tensor:
        """Return logits, B × outputs, from a feature map."""
        return cast("Tensor", self.head(self.forward_pooled(features)))


class Classifier(Head):
    """A trunk and a head: float32 B × 3 × H × W, normalised, to logits B × outputs."""

    def __init__(self, trunk: nn.Module, head: nn.Module, channels: int) -> None:
        nn.Module.__init__(self)
        # The trunk first: optimisers know parameters by their order.
        self.trunk = trunk
        self.head = head
        self.channels = channels

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the trunk's last feature map, B × channels × h × w."""
        return cast("Tensor", self.trunk.forward_features(x))  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, B × outputs, from normalised photos."""
        return self.forward_head(self.forward_features(x))


def build_classifier(spec: ClassifierSpec, num_outputs: int) -> Classifier:
    """Build the network of `spec` with random weights. Raises `ArchitectureError`."""
    trunk = _trunk(spec.name)
    channels = int(trunk.num_features)  # type: ignore[arg-type]
    return Classifier(trunk, _head(spec, channels, num_outputs), channels)


def build_head(spec: ClassifierSpec, channels: int, num_outputs: int) -> Head:
    """Build the head of `spec` alone, with random weights. Raises `ArchitectureError`."""
    return Head(_head(spec, channels, num_outputs), channels)


def build_segmenter(spec: SegmenterSpec) -> nn.Module:
    """Build a U-Net: float32 B × 3 × H × W, normalised, sides divisible by 32, to B × 1 × H × W.

    Its output is logits. Raises `ArchitectureError`.
    """
    import segmentation_models_pytorch as smp

    gluon = spec.name == GLUON_UNET
    prefix, _, encoder = spec.name.partition(":")
    if not gluon and (prefix != "unet" or not encoder):
        msg = f"unknown segmenter {spec.name!r}: use {GLUON_UNET!r} or 'unet:ENCODER'"
        raise ArchitectureError(msg)
    try:
        unet = smp.Unet(
            encoder_name=f"tu-{_TIMM_MOBILENET}" if gluon else encoder,
            encoder_weights=None,
            encoder_depth=len(spec.decoder_channels),
            decoder_channels=spec.decoder_channels,
            classes=1,
        )
    except (KeyError, RuntimeError, ValueError) as error:
        msg = f"cannot build segmenter {spec.name!r}: {error}"
        raise ArchitectureError(msg) from error
    if gluon:
        unet.encoder.model.blocks[0][0] = _gluon_first_block()
    return cast("nn.Module", unet)


def _trunk(name: str) -> nn.Module:
    if name == GLUON_RESNET:
        return _gluon_resnet()
    import timm

    gluon = name == GLUON_MOBILENET
    try:
        trunk: Any = timm.create_model(
            _TIMM_MOBILENET if gluon else name, pretrained=False, num_classes=0
        )
    except RuntimeError as error:
        known = f"{GLUON_MOBILENET}, {GLUON_RESNET}"
        msg = f"unknown classifier {name!r}: use one of {known}, or a name that timm knows"
        raise ArchitectureError(msg) from error
    if gluon:
        trunk.blocks[0][0] = _gluon_first_block()
    if _keeps_weights_behind(trunk):
        # ConvNeXt's last norm stands behind the pool: it is the head's here, with "norm_linear".
        trunk.head = nn.Identity()
    return cast("nn.Module", trunk)


def _keeps_weights_behind(trunk: nn.Module) -> bool:
    """Tell whether a trunk without classifier still has weights in its `head`, as ConvNeXt has.

    `forward_features` ends before them: they would be trained by nothing.
    """
    head = getattr(trunk, "head", None)
    return isinstance(head, nn.Module) and any(True for _ in head.parameters())


class DataNorm(nn.Module):
    """GluonCV's first batch norm, which has no scale of its own: (x − m) / √(v + ε) per channel."""

    def __init__(self, channels: int = 3, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("m", torch.zeros(channels, 1, 1))
        self.register_buffer("v", torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return B × channels × H × W, normalised."""
        m, v = cast("Tensor", self.m), cast("Tensor", self.v)
        return (x - m) / (v + self.eps).sqrt()


def _gluon_resnet() -> nn.Module:
    """Return ResNet50-v2 without its last stage, with GluonCV's input norm and ReLU after conv1."""
    import timm
    from timm.layers.norm_act import BatchNormAct2d

    trunk: Any = timm.create_model("resnetv2_50", pretrained=False, num_classes=0)
    stem = trunk.stem
    trunk.stem = nn.Sequential()
    trunk.stem.add_module("data_bn", DataNorm())
    trunk.stem.add_module("conv", stem.conv)
    trunk.stem.add_module("norm", BatchNormAct2d(64, act_layer=nn.ReLU))
    trunk.stem.add_module("pool", stem.pool)
    trunk.stages = trunk.stages[:3]
    trunk.norm = BatchNormAct2d(_RESNET_CHANNELS, act_layer=nn.ReLU)
    trunk.num_features = _RESNET_CHANNELS
    return cast("nn.Module", trunk)


def _gluon_first_block() -> nn.Module:
    """Return GluonCV's first block: it expands 1:1 where timm's has no expansion at all."""
    from timm.models._efficientnet_blocks import InvertedResidual

    block = InvertedResidual(32, 16, exp_ratio=1.0, act_layer=nn.ReLU6, noskip=True)
    return cast("nn.Module", block)


def _head(spec: ClassifierSpec, channels: int, num_outputs: int) -> nn.Module:
    if spec.head not in HEADS:
        msg = f"unknown head {spec.head!r}: this version has {', '.join(HEADS)}"
        raise ArchitectureError(msg)
    if len(spec.hidden) != len(spec.hidden_dropout) or bool(spec.hidden) != (spec.head == "mlp"):
        msg = "'hidden' and 'hidden_dropout' go together, one each per layer, with head 'mlp' only"
        raise ArchitectureError(msg)
    if bool(spec.layers) != (spec.head == "stack"):
        msg = "'layers' goes with head 'stack', and only with that"
        raise ArchitectureError(msg)
    layers: list[nn.Module] = [nn.LayerNorm(channels)] if spec.head == "norm_linear" else []
    width = channels
    for hidden, dropout in zip(spec.hidden, spec.hidden_dropout, strict=True):
        layers += [
            nn.Dropout(dropout),
            nn.Linear(width, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
        ]
        width = hidden
    for layer in spec.layers:
        made, width = _layer(layer, width)
        layers.append(made)
    return nn.Sequential(*layers, nn.Dropout(spec.dropout), nn.Linear(width, num_outputs))


def _layer(text: str, width: int) -> tuple[nn.Module, int]:
    """Return one layer of a ``stack`` over `width` features, and how many come out of it."""
    kind, _, number = text.partition(" ")
    try:
        if kind == "linear":
            return nn.Linear(width, int(number)), int(number)
        if kind == "dropout":
            return nn.Dropout(float(number)), width
    except ValueError as error:
        raise ArchitectureError(f"layer {text!r} of the head: {error}") from error
    if text in {"relu", "batch_norm"}:
        return nn.ReLU() if text == "relu" else nn.BatchNorm1d(width), width
    msg = f"unknown layer {text!r}: use batch_norm, relu, 'dropout SHARE' or 'linear WIDTH'"
    raise ArchitectureError(msg)
