"""The networks of a recipe, with their pretrained trunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import timm
from safetensors.torch import load_file

from inference_worker.architectures import build_classifier, build_segmenter
from training.precision import depthwise_in_float32

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from inference_worker.architectures import Classifier
    from inference_worker.manifest import ClassifierSpec, SegmenterSpec


HUB: Final = "hub"

Init: TypeAlias = "Path | Literal['hub'] | None"
"""Where weights start from: a safetensors file, timm's hub, or a random draw."""


class InitError(ValueError):
    """The pretrained weights cannot be had, or do not belong to the recipe's network."""


def classifier(spec: ClassifierSpec, num_outputs: int, init: Init) -> Classifier:
    """Build a classifier whose trunk starts from `init`, which fits strictly. Raises `InitError`.

    The hub's weights come through timm, by the network's own name.
    """
    model = build_classifier(spec, num_outputs)
    if init is not None:
        try:
            weights = _from_hub(spec.name) if init == HUB else load_file(init)
            model.trunk.load_state_dict(weights)
        except (OSError, RuntimeError) as error:
            raise InitError(f"cannot start {spec.name!r} from {init}: {error}") from error
    depthwise_in_float32(model)
    return model


def _from_hub(name: str) -> dict[str, Tensor]:
    """Return timm's pretrained weights of the trunk `name`. Raises `InitError`."""
    try:
        return timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    except (OSError, RuntimeError, ValueError) as error:
        raise InitError(
            f"cannot fetch the pretrained weights of {name!r} from timm's hub "
            f"({type(error).__name__}): go online, or in the recipe set 'init' to a safetensors "
            "file in the data folder, or leave 'init' out to start from random weights"
        ) from error


def segmenter(spec: SegmenterSpec, init: Init) -> nn.Module:
    """Build a segmenter whose encoder starts from `init`: what the encoder has, it must find.

    The hub has weights for an encoder that timm knows, ``unet:tu-NAME``. Raises `InitError`.
    """
    model = build_segmenter(spec)
    if init is not None:
        encoder = model.encoder.model  # type: ignore[union-attr]
        name = spec.name.removeprefix("unet:tu-")
        weights = _from_hub(name) if init == HUB else load_file(init)
        missing, _ = encoder.load_state_dict(weights, strict=False)  # type: ignore[union-attr]
        if missing:
            raise InitError(f"{init} lacks {missing[:3]} … of the encoder of {spec.name!r}")
    return depthwise_in_float32(model)
