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

from inference_worker.bundle import Bundle, load
from inference_worker.engines import BFLOAT16_BAND, Engines
from inference_worker.exactness import log_odds
from inference_worker.manifest import FixedGate, Gate
from inference_worker.pipeline import Pipeline
from inference_worker.verdict import CLASSES, Classification
from tests.inference_worker.rounding import bfloat16_ladder

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
    return bfloat16_ladder(bundle, tmp_path_factory.mktemp("cache"))


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
    """Return the distance of two answers in log-odds of what is decided.

    Malignant against benign; and where that may be told, melanoma against other malignancies.
    """
    malignant = [log_odds(c.p_malignant, 1 - c.p_malignant) for c in (a, b)]
    melanoma = [log_odds(c.p_melanoma, c.p_malignant - c.p_melanoma) for c in (a, b)]
    by_kind = abs(melanoma[0] - melanoma[1]) if max(malignant) >= 0 else 0.0
    return max(abs(malignant[0] - malignant[1]), by_kind)


@dataclasses.dataclass(frozen=True, slots=True)
class Apart:
    """How far one photo's verdict lies from the reference.

    `probability` the largest of any class and `heat` the largest of the heat map, of what runs;
    `log_odds` as `moved` has it, of the first rung with nothing asked again.
    """

    probability: float
    heat: float
    log_odds: float


def compare(bundle: Bundle, fast: Engines, per_class: int) -> list[Apart]:
    """Check each photo's verdict against the reference; return how far it is off."""
    plain, ladder, coarse = Pipeline(bundle), Pipeline(bundle, fast), Pipeline(bundle, alone(fast))
    found = []
    for pixels in photos(per_class):
        expected = plain.run(pixels, always_classify=True)
        verdict = ladder.run(pixels, always_classify=True)
        assert verdict.rejection is expected.rejection
        assert verdict.classification.category is expected.classification.category
        single = coarse.run(pixels, always_classify=True).classification
        told, reference = (
            np.array(list(v.classification.probabilities.values())) for v in (verdict, expected)
        )
        heat = np.array(verdict.heatmap.grid) - np.array(expected.heatmap.grid)
        found.append(
            Apart(
                probability=float(np.abs(told - reference).max()),
                heat=float(np.abs(heat).max()),
                log_odds=moved(single, expected.classification),
            )
        )
    assert max(apart.probability for apart in found) <= BFLOAT16_TOLERANCE
    assert max(apart.heat for apart in found) <= BFLOAT16_TOLERANCE
    return found


def spread(name: str, values: list[float]) -> str:
    """Return the largest and the median of `values`, in words."""
    return f"{name} {max(values):.2g} at most (median {np.median(values):.1g})"


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
    found = compare(bundle, fast, 1)
    assert len(found) == len(CLASSES)
    assert 0 < max(apart.log_odds for apart in found) <= BFLOAT16_BAND / 2


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
    found = compare(bundle, fast, PER_CLASS_AT_LENGTH)
    manifest = bundle.manifest
    parts = [
        f"{manifest.name} {manifest.version}, {len(found)} photos, no category differs",
        spread("any probability", [apart.probability for apart in found]),
        spread("heat map", [apart.heat for apart in found]),
        spread("log-odds before asking again", [apart.log_odds for apart in found]),
    ]
    record_property("measured", "; ".join(parts))
    assert len(found) >= 500
    assert max(apart.log_odds for apart in found) <= BFLOAT16_BAND / 2
