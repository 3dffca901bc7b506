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

from inference_worker import engines, quantise
from inference_worker.bundle import Bundle, load
from inference_worker.engine_options import parse
from inference_worker.engines import BFLOAT16_BAND, Engines
from inference_worker.exactness import distance
from inference_worker.manifest import FixedGate, Gate
from inference_worker.pipeline import Pipeline
from inference_worker.verdict import CLASSES, Verdict
from tests.inference_worker.rounding import bfloat16_ladder

pytestmark = pytest.mark.data

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT.parent / "shared" / "data" / "ham10000.zip"
STARTER = ROOT / "inference_worker" / "bundles" / "starter"
PER_CLASS_AT_LENGTH = 75
BFLOAT16_TOLERANCE = 0.01
INTEGERS_TOLERANCE = 0.1
"""Of a probability: integers are held to the category alone, and this shows that they are sane."""
CALIBRATING = 24
"""Photos of each class, none of them judged here."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load(STARTER)


@pytest.fixture(scope="module")
def fast(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    return bfloat16_ladder(bundle, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def integers(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    """Quantise by other photos than those that are judged."""
    cache, folder = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("photos")
    for number, content in enumerate(files(slice(PER_CLASS_AT_LENGTH, None), CALIBRATING)):
        (folder / f"{number:04}.jpg").write_bytes(content)
    quantise.quantise(STARTER, folder, cache)
    return engines.build(bundle, parse("openvino-int8", cache=cache))


def files(which: slice, per_class: int) -> Iterator[bytes]:
    """Yield the files of photos of every class, of `which` as many of each as `per_class`."""
    with zipfile.ZipFile(PHOTOS) as archive:
        table = io.TextIOWrapper(archive.open("metadata.csv"))
        rows = sorted(csv.DictReader(table), key=lambda row: row["image_id"])
        for name in CLASSES:
            for row in [row for row in rows if row["dx"] == name][which][:per_class]:
                yield archive.read(f"images/{row['image_id']}.jpg")


def photos(per_class: int) -> Iterator[np.ndarray]:
    """Yield photos of every class, as many of each as there are up to `per_class`."""
    for content in files(slice(None), per_class):
        with Image.open(io.BytesIO(content)) as image:
            yield np.asarray(image.convert("RGB"))


@dataclasses.dataclass(frozen=True, slots=True)
class Apart:
    """How far one photo's verdict lies from the reference.

    `probability` the largest of any class and `heat` the largest of the heat map, of what runs;
    `log_odds` as `exactness.distance` has it, in the logits' own scale, of the first rung with
    nothing asked again.
    """

    probability: float
    heat: float
    log_odds: float


class Compared:
    """A ladder beside the reference, photo by photo, its probabilities within `tolerance`."""

    def __init__(self, bundle: Bundle, fast: Engines, tolerance: float) -> None:
        self.ladder, self.coarse = (
            Pipeline(bundle, fast),
            Pipeline(bundle, fast.only(fast.ladder[0])),
        )
        self.temperature = bundle.manifest.temperature
        self.name, self.tolerance = fast.ladder[0].name, tolerance
        self.found: list[Apart] = []
        self.again = 0

    def see(self, pixels: np.ndarray, expected: Verdict) -> None:
        """Check one photo's verdict against the reference's; note how far it is off."""
        photo = self.ladder.begin(pixels, always_classify=True)
        verdict = self.ladder.finish(photo)
        self.again += photo.rungs > 1
        assert verdict.rejection is expected.rejection
        assert verdict.classification.category is expected.classification.category
        single = self.coarse.run(pixels, always_classify=True).classification
        told, reference = (
            np.array(list(v.classification.probabilities.values())) for v in (verdict, expected)
        )
        heat = np.array(verdict.heatmap.grid) - np.array(expected.heatmap.grid)
        apart = Apart(
            probability=float(np.abs(told - reference).max()),
            heat=float(np.abs(heat).max()),
            log_odds=distance(single, expected.classification) * self.temperature,
        )
        assert apart.probability <= self.tolerance
        assert apart.heat <= BFLOAT16_TOLERANCE
        self.found.append(apart)

    def measured(self) -> str:
        """Return what was found, in words."""
        parts = [
            f"{self.ladder.ref.name} {self.ladder.ref.version}, {len(self.found)} photos",
            f"no category differs, {self.again} asked again",
            spread("any probability", [apart.probability for apart in self.found]),
            spread("heat map", [apart.heat for apart in self.found]),
            spread("log-odds before asking again", [apart.log_odds for apart in self.found]),
        ]
        return "; ".join(parts)


def compare(bundle: Bundle, per_class: int, *those: Compared) -> None:
    """Show photos of each class to the reference, and to those that are compared with it."""
    plain = Pipeline(bundle)
    for pixels in photos(per_class):
        expected = plain.run(pixels, always_classify=True)
        for one in those:
            one.see(pixels, expected)


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
    low = Compared(bundle, fast, BFLOAT16_TOLERANCE)
    compare(bundle, 1, low)
    assert len(low.found) == len(CLASSES)
    assert 0 < max(apart.log_odds for apart in low.found) <= BFLOAT16_BAND / 2


def test_no_threshold_drawn_beside_an_answer_changes_its_category(
    bundle: Bundle, fast: Engines
) -> None:
    """Between the float32 answer and the bfloat16 one: where the latter is on the wrong side."""
    crossed = 0
    alone = fast.only(fast.ladder[0])
    for pixels in photos(1):
        exact = Pipeline(bundle).run(pixels, always_classify=True).classification
        coarse = Pipeline(bundle, alone).run(pixels, always_classify=True).classification
        threshold = max(0.5, (exact.confidence + coarse.confidence) / 2)
        gate = Gate(fixed=FixedGate(threshold))
        manifest = dataclasses.replace(bundle.manifest, gate=gate)
        gated = dataclasses.replace(bundle, manifest=manifest)
        expected = Pipeline(gated).run(pixels, always_classify=True).classification
        found = Pipeline(gated, fast).run(pixels, always_classify=True).classification
        wrong = Pipeline(gated, alone).run(pixels, always_classify=True).classification
        assert found.category is expected.category
        crossed += wrong.category is not expected.category
    assert crossed


@pytest.mark.evidence
def test_no_category_differs_on_500_photos(
    bundle: Bundle,
    fast: Engines,
    integers: Engines,
    record_property: Callable[[str, object], None],
) -> None:
    low = Compared(bundle, fast, BFLOAT16_TOLERANCE)
    whole = Compared(bundle, integers, INTEGERS_TOLERANCE)
    compare(bundle, PER_CLASS_AT_LENGTH, low, whole)
    for one in (low, whole):
        record_property(f"measured by {one.name}", one.measured())
        assert len(one.found) >= 500
    assert max(apart.log_odds for apart in low.found) <= BFLOAT16_BAND / 2
    band = integers.ladder[0].band
    assert max(apart.log_odds for apart in whole.found) <= band
