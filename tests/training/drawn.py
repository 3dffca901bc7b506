"""Small data sets of drawn lesions, laid out as the public ones are."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from inference_worker.verdict import CLASSES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RECIPE = """
name: drawn
version: 0.0.1
licence: Apache-2.0
intended_use: tests
classifier: {name: mobilenetv2_050, head: linear}
outputs: [akiec, bcc, bkl, df, mel, nv, vasc]
activation: softmax
class_map: {akiec: [akiec], bcc: [bcc], bkl: [bkl], df: [df], mel: [mel], nv: [nv], vasc: [vasc]}
input: {size: 64}
cache_size: 64
preprocessing: [{step: hair}]
views: [identity, hvflip, rot180]
seeds: [1, 2]
split: {test_share: 0.34, folds: 2}
data: {crops: ham10000_224, crop_share: 0.2, partial: isic2017, partial_share: 0.2}
schedule: {stages: [{size: 64, epochs: 1, images: 16}]}
segmenter:
  architecture: {name: "unet:resnet18", decoder_channels: [16, 16, 8, 8, 8]}
  input: {size: 64}
  extra: isic2018_task1
  held_out: 0.5
  schedule: {stages: [{size: 64, epochs: 1, images: 16}]}
"""


def lesion(seed: int, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a photo of a dark, rough blot on skin, and its mask. `size` is (width, height)."""
    rng = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[:height, :width]
    centre = rng.uniform(0.4, 0.6, 2) * (width, height)
    radius = rng.uniform(0.15, 0.3) * height
    mask = np.hypot(x - centre[0], y - centre[1]) < radius
    skin = np.array([220, 170, 150]) + rng.integers(-10, 10, 3)
    blot = rng.integers(40, 130, 3)
    photo = np.where(mask[..., None], blot, skin) + rng.normal(0, 8, (height, width, 3))
    return np.clip(photo, 0, 255).astype(np.uint8), mask


def write(data: Path) -> None:
    """Write drawn `ham10000`, `ham10000_224`, `isic2017` and `isic2018_task1` folders."""
    rows = []
    for number, dx in enumerate(dx for dx in CLASSES for _ in range(6)):
        name = f"ISIC_{number:07d}"
        photo, mask = lesion(number, (80, 60))
        _save(data / "ham10000/images" / f"{name}.jpg", photo)
        _save(data / "ham10000/masks" / f"{name}.png", mask.astype(np.uint8) * 255)
        _save(data / "ham10000_224/images" / f"{name}.jpg", photo[:, 10:70])
        rows.append([f"HAM_{number}", name, dx, "histo", "50.0", "male", "back"])
    header = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]
    _table(data / "ham10000/metadata.csv", header, rows)
    for part, count in (("train", 6), ("val", 2)):
        ids = [f"ISIC_9{part}{i}" for i in range(count)]
        for i, name in enumerate(ids):
            _save(data / f"isic2017/{part}/images/{name}.jpg", lesion(100 + i, (64, 64))[0])
        found = [[name, float(i % 2)] for i, name in enumerate(ids)]
        _table(data / f"isic2017/{part}/classes.csv", ["image_id", "melanoma"], found)
    for i in range(4):
        photo, mask = lesion(200 + i, (64, 64))
        _save(data / f"isic2018_task1/images/ISIC_8{i}.jpg", photo)
        _save(data / f"isic2018_task1/masks/ISIC_8{i}.png", mask.astype(np.uint8) * 255)


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _table(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
