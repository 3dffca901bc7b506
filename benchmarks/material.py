"""What is measured: bundles of any network, and photos drawn by code or read from a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch
from PIL import Image

from inference_worker import bundle, manifest
from inference_worker.architectures import build_classifier, build_segmenter
from inference_worker.manifest import ClassifierSpec, SegmenterSpec
from inference_worker.verdict import CLASSES

if TYPE_CHECKING:
    from pathlib import Path

    from inference_worker.pixels import Pixels

NINE: Final = (
    *("identity", "hflip", "vflip", "hvflip"),
    *("rot90", "rot180", "rot270", "centre95", "reflect105"),
)
_SEEDS: Final = (42, 123, 456, 789, 2025)
_SUFFIXES: Final = {".jpg", ".jpeg", ".png"}


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


def read_photos(folder: Path, count: int) -> list[Pixels]:
    """Return the first `count` photos in `folder`, uint8 height × width × 3. Raises OSError."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)[:count]
    photos = []
    for path in files:
        with Image.open(path) as image:
            photos.append(np.asarray(image.convert("RGB")))
    return photos


def draw_photos(count: int) -> list[Pixels]:
    """Draw `count` lesions of several sizes at 600 × 450 px, every other one hairy."""
    return [_draw(number) for number in range(count)]


def _draw(number: int) -> Pixels:
    rng = np.random.default_rng(number)
    grain = rng.normal(0, 5, (450, 600, 1))
    pixels = np.clip(np.array([222, 178, 160]) + grain, 0, 255).astype(np.uint8)
    axes = tuple(int(axis) for axis in rng.integers(50, 150, 2))
    colour = tuple(int(value) for value in rng.integers((80, 40, 30), (150, 90, 70)))
    cv2.ellipse(pixels, (300, 225), axes, number * 30, 0, 360, colour, -1, cv2.LINE_AA)
    for _ in range(12 * (number % 2)):
        start, end = ((int(x), y) for x, y in zip(rng.integers(0, 600, 2), (0, 449), strict=True))
        cv2.line(pixels, start, end, (35, 22, 18), 3, cv2.LINE_AA)
    return pixels
