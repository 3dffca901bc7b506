"""The networks of a recipe, with their pretrained trunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors.torch import load_file

from inference_worker.architectures import build_classifier, build_segmenter
from training.precision import depthwise_in_float32

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from inference_worker.architectures import Classifier
    from inference_worker.manifest import ClassifierSpec, SegmenterSpec


class InitError(ValueError):
    """The pretrained weights do not belong to the recipe's network."""


def classifier(spec: ClassifierSpec, num_outputs: int, init: Path | None) -> Classifier:
    """Build a classifier whose trunk starts from `init`, a safetensors file that fits strictly."""
    model = build_classifier(spec, num_outputs)
    if init is not None:
        try:
            model.trunk.load_state_dict(load_file(init))
        except (OSError, RuntimeError) as error:
            raise InitError(f"cannot start {spec.name!r} from {init}: {error}") from error
    depthwise_in_float32(model)
    return model


def segmenter(spec: SegmenterSpec, init: Path | None) -> nn.Module:
    """Build a segmenter whose encoder starts from `init`: what the encoder has, it must find."""
    model = build_segmenter(spec)
    if init is not None:
        encoder = model.encoder.model  # type: ignore[union-attr]
        missing, _ = encoder.load_state_dict(load_file(init), strict=False)  # type: ignore[union-attr]
        if missing:
            raise InitError(f"{init} lacks {missing[:3]} … of the encoder of {spec.name!r}")
    return depthwise_in_float32(model)
