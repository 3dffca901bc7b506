"""The embedded bundle on real dermoscopic photos, end to end."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from inference_worker import pipeline
from inference_worker.verdict import CLASSES, Stage, Verdict

pytestmark = pytest.mark.data

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT.parent / "shared" / "data" / "ham10000.zip"
STARTER = ROOT / "inference_worker" / "bundles" / "starter"
PER_CLASS = 1


def sample() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (dx, pixels, mask) of a few photos of each class."""
    with zipfile.ZipFile(PHOTOS) as archive:
        table = io.TextIOWrapper(archive.open("metadata.csv"))
        rows = sorted(csv.DictReader(table), key=lambda row: row["image_id"])
        chosen = [
            row
            for name in CLASSES
            for row in [row for row in rows if row["dx"] == name][100 : 100 + PER_CLASS]
        ]
        return [
            (
                row["dx"],
                _read(archive, f"images/{row['image_id']}.jpg", "RGB"),
                _read(archive, f"masks/{row['image_id']}.png", "L") > 127,
            )
            for row in chosen
        ]


def _read(archive: zipfile.ZipFile, name: str, mode: str) -> np.ndarray:
    with Image.open(io.BytesIO(archive.read(name))) as image:
        return np.asarray(image.convert(mode))


def dice(verdict: Verdict, mask: np.ndarray) -> float:
    height, width = mask.shape
    points = np.round(np.array(verdict.outline) * [width, height]).astype(np.int32)
    drawn = cv2.fillPoly(np.zeros(mask.shape, np.uint8), [points], 1) > 0
    return 2 * (drawn & mask).sum() / (drawn.sum() + mask.sum())


@pytest.fixture(scope="module")
def judged() -> list[tuple[str, np.ndarray, Verdict]]:
    model = pipeline.current(STARTER)
    return [(dx, mask, model.run(pixels, always_classify=True)) for dx, pixels, mask in sample()]


def test_every_photo_gets_a_whole_verdict(judged: list[tuple[str, np.ndarray, Verdict]]) -> None:
    assert len(judged) == PER_CLASS * len(CLASSES)
    for _, _, verdict in judged:
        told = verdict.classification
        assert len(told.members) == 5
        assert told.votes.total == 45
        assert sum(told.probabilities.values()) == pytest.approx(1)
        assert np.array(verdict.heatmap.grid).max() <= 1
        assert list(verdict.timings) == [stage.value for stage in Stage]


def test_nearly_all_are_taken_for_usable_photos(
    judged: list[tuple[str, np.ndarray, Verdict]],
) -> None:
    refused = [verdict.rejection for _, _, verdict in judged if verdict.rejection]
    assert len(refused) <= 1, refused


def test_the_outlines_are_those_that_experts_drew(
    judged: list[tuple[str, np.ndarray, Verdict]],
) -> None:
    scores = [dice(verdict, mask) for _, mask, verdict in judged if verdict.outline]
    assert len(scores) >= len(judged) - 1
    assert np.median(scores) > 0.8


def test_malignant_photos_look_more_malignant_than_nevi(
    judged: list[tuple[str, np.ndarray, Verdict]],
) -> None:
    def mean(*names: str) -> float:
        return float(np.mean([v.classification.p_malignant for dx, _, v in judged if dx in names]))

    assert mean("mel", "bcc", "akiec") > 2 * mean("nv", "vasc")
