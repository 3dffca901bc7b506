"""The networks of a recipe, with their pretrained trunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import timm
from safetensors.torch import load_file
from torch import nn

from inference_worker.architectures import build_classifier, build_segmenter
from training import first_layer
from training.precision import depthwise_in_float32

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from inference_worker.architectures import Classifier
    from inference_worker.manifest import ClassifierSpec, Input, SegmenterSpec


HUB: Final = "hub"

Init: TypeAlias = "Path | Literal['hub'] | None"
"""Where weights start from: a safetensors file, timm's hub, or a random draw."""

_LAST_NORM: Final = "head.norm."


class InitError(ValueError):
    """The pretrained weights cannot be had, or do not belong to the recipe's network."""


def classifier(
    spec: ClassifierSpec, num_outputs: int, init: Init, reads: Input | None = None
) -> Classifier:
    """Build a classifier whose trunk starts from `init`, which fits strictly. Raises `InitError`.

    The hub's weights come through timm, by the network's own name. They were trained on RGB photos
    in timm's normalisation: where the recipe `reads` pixels otherwise, the first convolution is
    converted, so that the features stay what they were. A file's weights are taken as they are.
    """
    model = build_classifier(spec, num_outputs)
    if init is not None:
        try:
            _start(model, _from_hub(spec.name, reads) if init == HUB else load_file(init))
        except (OSError, RuntimeError) as error:
            raise InitError(f"cannot start {spec.name!r} from {init}: {error}") from error
    depthwise_in_float32(model)
    return model


def segmenter(spec: SegmenterSpec, init: Init, reads: Input | None = None) -> nn.Module:
    """Build a segmenter whose encoder starts from `init`: what the encoder has, it must find.

    The hub has weights for an encoder that timm knows, ``unet:tu-NAME``; for `reads` see
    `classifier`. Raises `InitError`.
    """
    model = build_segmenter(spec)
    if init is not None:
        encoder = model.encoder.model  # type: ignore[union-attr]
        name = spec.name.removeprefix("unet:tu-")
        weights = _from_hub(name, reads) if init == HUB else load_file(init)
        missing, _ = encoder.load_state_dict(weights, strict=False)  # type: ignore[union-attr]
        if missing:
            raise InitError(f"{init} lacks {missing[:3]} … of the encoder of {spec.name!r}")
    return depthwise_in_float32(model)


def _start(model: Classifier, weights: dict[str, Tensor]) -> None:
    """Load a trunk's `weights`, strictly; its last norm, if it has one, becomes the head's."""
    own = {name: w for name, w in weights.items() if not name.startswith(_LAST_NORM)}
    norm = {name.removeprefix(_LAST_NORM): w for name, w in weights.items() if name not in own}
    model.trunk.load_state_dict(own)
    first = next(iter(cast("nn.Sequential", model.head)), None)
    if norm and isinstance(first, nn.LayerNorm):
        first.load_state_dict(norm)


def _from_hub(name: str, reads: Input | None) -> dict[str, Tensor]:
    """Return timm's pretrained weights of the trunk `name`. Raises `InitError`."""
    try:
        trunk: Any = timm.create_model(name, pretrained=True, num_classes=0)
    except (OSError, RuntimeError, ValueError) as error:
        raise InitError(
            f"cannot fetch the pretrained weights of {name!r} from timm's hub "
            f"({type(error).__name__}): go online, or in the recipe set 'init' to a safetensors "
            "file in the data folder, or leave 'init' out to start from random weights"
        ) from error
    weights: dict[str, Tensor] = trunk.state_dict()
    if reads is None:
        return weights
    try:
        return first_layer.convert(weights, trunk.pretrained_cfg, reads)
    except first_layer.ReadingError as error:
        raise InitError(f"cannot start {name!r} from the hub: {error}") from error
