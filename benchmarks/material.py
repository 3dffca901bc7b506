"""The bundles that are measured: any network, with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from inference_worker import bundle, manifest
from inference_worker.architectures import build_classifier, build_segmenter
from inference_worker.manifest import ClassifierSpec, SegmenterSpec
from inference_worker.verdict import CLASSES

if TYPE_CHECKING:
    from pathlib import Path

NINE: Final = (
    *("identity", "hflip", "vflip", "hvflip"),
    *("rot90", "rot180", "rot270", "centre95", "reflect105"),
)
_SEEDS: Final = (42, 123, 456, 789, 2025)


def write_bundle(
    folder: Path, architecture: str, *, members: int, side: int, views: int, head: str = "linear"
) -> Path:
    """Write a bundle of `members` networks with random weights, a segmenter, and `views` views.

    Raises `architectures.ArchitectureError`.
    """
    spec = ClassifierSpec(architecture, head=head)
    pinned = []
    for number in range(members):
        torch.manual_seed(number)
        network = build_classifier(spec, len(CLASSES))
        file = f"member-{number}.safetensors"
        pinned.append(bundle.write_weights(folder, file, network.state_dict()))
    torch.manual_seed(members)
    unet = build_segmenter(SegmenterSpec())
    masks = bundle.write_weights(folder, "segmenter.safetensors", unet.state_dict())
    seeds = (_SEEDS[number % len(_SEEDS)] for number in range(members))
    described = manifest.Manifest(
        schema_version=1,
        name=f"benchmark-{architecture}",
        version="0",
        licence="none",
        created="2026-01-01",
        intended_use="Measurements. Its weights are random.",
        classifier=manifest.Classifier(
            architecture=spec,
            members=tuple(
                manifest.Member(pin.file, pin.sha256, seed)
                for pin, seed in zip(pinned, seeds, strict=True)
            ),
            outputs=CLASSES,
            activation="softmax",
            class_map={name: (name,) for name in CLASSES},
            input=manifest.Input(size=side),
        ),
        preprocessing=(manifest.Step("black_corners"), manifest.Step("hair")),
        views=NINE[:views],
        temperature=1.0,
        gate=manifest.Gate(),
        quality=manifest.Quality(),
        ood=None,
        segmenter=manifest.Segmenter(
            masks.file, masks.sha256, SegmenterSpec(), manifest.Input(size=160)
        ),
    )
    bundle.write_manifest(folder, described)
    return folder
