"""Small data sets of drawn lesions, laid out as the public ones are: for smoke runs and tests."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from inference_worker.verdict import CLASSES
from training.readers import ISIC2019_CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_EACH = 6
_CROP = slice(10, 70)


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
    """Write drawn folders of every data set that there is a reader for."""
    _ham10000(data)
    for part, count in (("train", 6), ("val", 2)):
        ids = [f"ISIC_9{part}{i}" for i in range(count)]
        for i, name in enumerate(ids):
            _save(data / f"isic2017/{part}/images/{name}.jpg", lesion(100 + i, (64, 64))[0])
        found = [[name, float(i % 2)] for i, name in enumerate(ids)]
        _table(data / f"isic2017/{part}/classes.csv", ["image_id", "melanoma"], found)
    for i in range(12):
        photo, mask = lesion(200 + i, (64, 64))
        _save(data / f"isic2018_task1/images/ISIC_8{i}.jpg", photo)
        _save(data / f"isic2018_task1/masks/ISIC_8{i}.png", mask.astype(np.uint8) * 255)
    _isic2019(data / "isic2019")
    _isic2020(data / "isic2020")


def _ham10000(data: Path) -> None:
    rows = []
    for number, dx in enumerate(dx for dx in CLASSES for _ in range(_EACH)):
        name = f"ISIC_{number:07d}"
        photo, mask = lesion(number, (80, 60))
        _save(data / "ham10000/images" / f"{name}.jpg", photo)
        _save(data / "ham10000/masks" / f"{name}.png", mask.astype(np.uint8) * 255)
        _save(data / "ham10000_224/images" / f"{name}.jpg", photo[:, _CROP])
        rows.append([f"HAM_{number}", name, dx, "histo", "50.0", "male", "back"])
    header = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]
    _table(data / "ham10000/metadata.csv", header, rows)


def _isic2019(folder: Path) -> None:
    columns = [*ISIC2019_CLASSES, "UNK"]
    truth, about = [], []
    for number, own in enumerate(dx for dx in ISIC2019_CLASSES for _ in range(_EACH)):
        name = f"ISIC_3{number:06d}"
        _save(folder / f"ISIC_2019_Training_Input/{name}.jpg", lesion(300 + number, (80, 60))[0])
        truth.append([name, *(float(column == own) for column in columns)])
        about.append([name, "55.0", "anterior torso", f"BCN_{number}", "female"])
    _table(folder / "ISIC_2019_Training_GroundTruth.csv", ["image", *columns], truth)
    header = ["image", "age_approx", "anatom_site_general", "lesion_id", "sex"]
    _table(folder / "ISIC_2019_Training_Metadata.csv", header, about)


def _isic2020(folder: Path) -> None:
    rows = []
    for number in range(8):
        name = f"ISIC_4{number:06d}"
        _save(folder / f"train/{name}.jpg", lesion(400 + number, (80, 60))[0])
        rows.append([name, f"IP_{number // 2}", "male", "45.0", "torso", number % 2])
    header = ["image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge"]
    _table(folder / "train.csv", [*header, "target"], rows)


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
