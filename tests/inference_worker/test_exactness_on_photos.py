"""Fast engines on real photos: no category differs from that of plain PyTorch in float32."""

from __future__ import annotations

import csv
import dataclasses
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference_worker import engines
from inference_worker.bundle import Bundle, load
from inference_worker.engine_options import parse
from inference_worker.engines import BFLOAT16_BAND, Engines
from inference_worker.exactness import log_odds
from inference_worker.manifest import FixedGate, Gate
from inference_worker.pipeline import Pipeline
from inference_worker.verdict import CLASSES, Classification

pytestmark = pytest.mark.data

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT.parent / "shared" / "data" / "ham10000.zip"
STARTER = ROOT / "inference_worker" / "bundles" / "starter"
PER_CLASS_AT_LENGTH = 75
BFLOAT16_TOLERANCE = 0.01


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load(STARTER)


@pytest.fixture(scope="module")
def fast(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    cache = tmp_path_factory.mktemp("cache")
    return engines.build(bundle, parse("openvino-bfloat16", cache=cache))


def photos(per_class: int) -> Iterator[np.ndarray]:
    """Yield photos of every class, as many of each as there are up to `per_class`."""
    with zipfile.ZipFile(PHOTOS) as archive:
        table = io.TextIOWrapper(archive.open("metadata.csv"))
        rows = sorted(csv.DictReader(table), key=lambda row: row["image_id"])
        for name in CLASSES:
            for row in [row for row in rows if row["dx"] == name][:per_class]:
                with Image.open(io.BytesIO(archive.read(f"images/{row['image_id']}.jpg"))) as image:
                    yield np.asarray(image.convert("RGB"))


def alone(ready: Engines) -> Engines:
    """Return the first rung, with nothing to ask again."""
    (first, *_) = ready.ladder
    return dataclasses.replace(ready, ladder=(dataclasses.replace(first, band=0.0),))


def moved(a: Classification, b: Classification) -> float:
    """Return the distance of two answers in log-odds of malignant."""
    return abs(
        log_odds(a.p_malignant, 1 - a.p_malignant) - log_odds(b.p_malignant, 1 - b.p_malignant)
    )


def compare(bundle: Bundle, fast: Engines, per_class: int) -> list[float]:
    """Check each photo's verdict against the reference; return how far bfloat16 alone is off."""
    plain, ladder, coarse = Pipeline(bundle), Pipeline(bundle, fast), Pipeline(bundle, alone(fast))
    off = []
    for pixels in photos(per_class):
        expected = plain.run(pixels, always_classify=True)
        found = ladder.run(pixels, always_classify=True)
        assert found.rejection is expected.rejection
        assert found.classification.category is expected.classification.category
        probabilities = expected.classification.probabilities
        assert found.classification.probabilities == pytest.approx(
            probabilities, abs=BFLOAT16_TOLERANCE
        )
        single = coarse.run(pixels, always_classify=True).classification
        off.append(moved(single, expected.classification))
    return off


def test_float32_gives_the_numbers_and_the_heat_map_of_the_reference(
    bundle: Bundle, fast: Engines
) -> None:
    exact = Pipeline(bundle, dataclasses.replace(fast, ladder=fast.ladder[1:]))
    plain = Pipeline(bundle)
    for pixels in photos(1):
        found = exact.run(pixels, always_classify=True)
        expected = plain.run(pixels, always_classify=True)
        probabilities = expected.classification.probabilities
        assert found.classification.probabilities == pytest.approx(probabilities, abs=1e-4)
        heat = np.abs(np.array(found.heatmap.grid) - np.array(expected.heatmap.grid))
        assert heat.max() <= 1e-3


def test_no_category_differs_on_a_photo_of_each_class(bundle: Bundle, fast: Engines) -> None:
    off = compare(bundle, fast, 1)
    assert len(off) == len(CLASSES)
    assert 0 < max(off) <= BFLOAT16_BAND / 2


def test_no_threshold_drawn_beside_an_answer_changes_its_category(
    bundle: Bundle, fast: Engines
) -> None:
    """Between the float32 answer and the bfloat16 one: where the latter is on the wrong side."""
    crossed = 0
    for pixels in photos(1):
        exact = Pipeline(bundle).run(pixels, always_classify=True).classification
        coarse = Pipeline(bundle, alone(fast)).run(pixels, always_classify=True).classification
        threshold = max(0.5, (exact.confidence + coarse.confidence) / 2)
        gate = Gate(fixed=FixedGate(threshold))
        manifest = dataclasses.replace(bundle.manifest, gate=gate)
        gated = dataclasses.replace(bundle, manifest=manifest)
        expected = Pipeline(gated).run(pixels, always_classify=True).classification
        found = Pipeline(gated, fast).run(pixels, always_classify=True).classification
        wrong = Pipeline(gated, alone(fast)).run(pixels, always_classify=True).classification
        assert found.category is expected.category
        crossed += wrong.category is not expected.category
    assert crossed


@pytest.mark.evidence
def test_no_category_differs_on_500_photos(
    bundle: Bundle, fast: Engines, record_property: Callable[[str, object], None]
) -> None:
    off = compare(bundle, fast, PER_CLASS_AT_LENGTH)
    record_property("photos", len(off))
    record_property("log_odds_moved_median_and_most", [float(np.median(off)), max(off)])
    assert len(off) >= 500
    assert max(off) <= BFLOAT16_BAND / 2
