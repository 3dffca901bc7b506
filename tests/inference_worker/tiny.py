"""Small bundles with random weights, for tests of what a pipeline does with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from inference_worker import bundle, manifest
from inference_worker.architectures import (
    Classifier,
    ClassifierSpec,
    SegmenterSpec,
    build_classifier,
    build_segmenter,
)
from inference_worker.verdict import CLASSES

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

NINE = (
    *("identity", "hflip", "vflip", "hvflip"),
    *("rot90", "rot180", "rot270", "centre95", "reflect105"),
)
SIDE = 64
CLASSIFIER = ClassifierSpec("mobilenetv2_050")
SEGMENTER = SegmenterSpec(decoder_channels=(16, 16, 8, 8, 8))
SEVEN_MAP = {name: (name,) for name in CLASSES}


def member(seed: int, outputs: int = len(CLASSES)) -> Classifier:
    """Return a network whose answer differs between photos, members and views."""
    torch.manual_seed(seed)
    classifier = build_classifier(CLASSIFIER, outputs).eval().requires_grad_(requires_grad=False)
    classifier.head[-1].weight.mul_(20)
    return classifier


def segmenter(bias: float = 0.0) -> nn.Module:
    """Return a U-Net with random weights; `bias` makes it find much, or nothing."""
    torch.manual_seed(99)
    unet = build_segmenter(SEGMENTER).eval().requires_grad_(requires_grad=False)
    unet.segmentation_head[0].bias.fill_(bias)
    return unet


def write(
    folder: Path,
    *,
    members: int = 5,
    outputs: tuple[str, ...] = CLASSES,
    activation: str = "softmax",
    class_map: dict[str, tuple[str, ...]] | None = None,
    segmenter_bias: float | None = None,
    ood_limit: float | None = None,
    **changes: Any,
) -> Path:
    """Write a bundle to `folder`; by default five seven-class members and nothing else.

    `segmenter_bias` adds a segmenter, `ood_limit` out-of-distribution statistics; `changes` replace
    parts of the manifest.
    """
    pinned = [
        bundle.write_weights(
            folder, f"member-{seed}.safetensors", member(seed, len(outputs)).state_dict()
        )
        for seed in range(members)
    ]
    parts: dict[str, Any] = {
        "schema_version": 1,
        "name": "tiny",
        "version": "0.1.0",
        "licence": "Apache-2.0",
        "created": "2026-01-01",
        "intended_use": "tests",
        "classifier": manifest.Classifier(
            architecture=CLASSIFIER,
            members=tuple(manifest.Member(p.file, p.sha256, i) for i, p in enumerate(pinned)),
            outputs=outputs,
            activation=activation,
            class_map=class_map or SEVEN_MAP,
            input=manifest.Input(size=SIDE),
        ),
        "preprocessing": (manifest.Step("black_corners"), manifest.Step("hair")),
        "views": NINE,
        "temperature": 1.5,
        "gate": manifest.Gate(),
        "quality": manifest.Quality(min_sharpness=20, min_brightness=0.2, max_brightness=0.95),
        "ood": None if ood_limit is None else _ood(folder, ood_limit),
        "segmenter": None if segmenter_bias is None else _segmenter(folder, segmenter_bias),
    }
    bundle.write_manifest(folder, manifest.Manifest(**parts | changes))
    return folder


def _segmenter(folder: Path, bias: float) -> manifest.Segmenter:
    file = bundle.write_weights(folder, "segmenter.safetensors", segmenter(bias).state_dict())
    return manifest.Segmenter(
        file.file, file.sha256, SEGMENTER, manifest.Input(size=SIDE), threshold=0.5
    )


def _ood(folder: Path, limit: float) -> manifest.Ood:
    channels = member(0).channels
    statistics = {
        "mean": torch.zeros(channels),
        "components": torch.eye(channels)[:4],
        "variance": torch.ones(4),
        "residual_variance": torch.ones(1),
    }
    file = bundle.write_weights(folder, "ood.safetensors", statistics, kept_as="float32")
    return manifest.Ood("mahalanobis", file.file, file.sha256, limit)
