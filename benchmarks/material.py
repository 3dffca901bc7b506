"""The bundles that are measured: any network, with random weights that answer as trained ones do.

As they are made, random weights say nothing of what rounding does. ConvNeXt scales each block by
1e-6, so that it adds nothing; every head gives all classes the same probability whatever the photo;
and members that have nothing in common average to that again. So the blocks get a scale of their
own, the members are one network with noise, their heads tell drawn photos apart, and the gate
stands between the answers.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch

from benchmarks.photos import draw_photos
from inference_worker import bundle, manifest, preprocessing
from inference_worker.architectures import build_classifier, build_segmenter
from inference_worker.exactness import log_odds
from inference_worker.manifest import ClassifierSpec, FixedGate, Gate, Input, SegmenterSpec
from inference_worker.pipeline import Pipeline
from inference_worker.tensors import to_tensor
from inference_worker.verdict import CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from inference_worker.architectures import Classifier
    from inference_worker.pixels import Pixels

NINE: Final = (
    *("identity", "hflip", "vflip", "hvflip"),
    *("rot90", "rot180", "rot270", "centre95", "reflect105"),
)
_SEEDS: Final = (42, 123, 456, 789, 2025)
LAYER_SCALE: Final = 0.3
"""Standard deviation of a block's scale, by the channel."""
SPREAD: Final = 4.0
"""Standard deviation of a logit over the drawn photos."""
NOISE: Final = 0.1
"""Standard deviation of what makes members differ, as a share of that of the weights."""
_DRAWN: Final = 6
_JUDGED: Final = 4


def write_bundle(
    folder: Path, architecture: str, *, members: int, side: int, views: int, head: str = "linear"
) -> Path:
    """Write a bundle of `members` networks with random weights, a segmenter, and `views` views.

    Raises `architectures.ArchitectureError`.
    """
    spec = ClassifierSpec(architecture, head=head)
    seen = drawn(side)
    pinned = []
    for number in range(members):
        torch.manual_seed(0)
        network = build_classifier(spec, len(CLASSES))
        enliven(network, seen, seed=number)
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


def enliven(network: Classifier, seen: Tensor, *, seed: int) -> None:
    """Let every block of `network` count, and its head tell the photos in `seen` apart.

    `seen` float32 n × 3 × side × side, normalised, n > 1. The head's last layer is scaled so that a
    logit's standard deviation over these is `SPREAD`, and its bias takes their mean off, as
    training does. Networks of one kind and another `seed` differ by `NOISE`.
    """
    network.eval()
    own = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        for name, weight in network.named_parameters():
            if name.endswith(".gamma"):
                weight.normal_(std=LAYER_SCALE)
            if weight.ndim:
                noise = torch.randn(weight.shape, generator=own)
                weight.add_(noise * NOISE * weight.std(correction=0))
        logits = network(seen)
        factor = SPREAD / logits.std(dim=0).mean()
        last = network.head[-1]  # type: ignore[index]
        last.bias.copy_((last.bias - logits.mean(dim=0)) * factor)
        last.weight.mul_(factor)


def place_gate(folder: Path, photos: Sequence[Pixels]) -> None:
    """Move the gate of the bundle in `folder` to where it parts the first few `photos`.

    Midway in the widest gap between their confidences, in log-odds: what lies on either side is as
    far from the decision as it can be then. One photo alone leaves the gate where it is.
    """
    found = bundle.load(folder)
    pipeline = Pipeline(found)
    odds = []
    for pixels in photos[:_JUDGED]:
        said = pipeline.run(pixels, always_classify=True).classification
        if said is not None:
            odds.append(log_odds(said.confidence, 1 - said.confidence))
    gaps = [(high - low, (high + low) / 2) for low, high in pairwise(sorted(odds))]
    if gaps:
        threshold = float(torch.tensor(max(gaps)[1], dtype=torch.float64).sigmoid())
        gate = Gate(fixed=FixedGate(threshold))
        bundle.write_manifest(folder, replace(found.manifest, gate=gate))


def drawn(side: int) -> Tensor:
    """Return drawn photos as a network of `side` px sees them, float32 n × 3 × side × side."""
    device, how = torch.device("cpu"), Input(size=side)
    squares = [preprocessing.to_square(pixels, side) for pixels in draw_photos(_DRAWN)]
    return torch.stack([to_tensor(square, how, device) for square in squares])
