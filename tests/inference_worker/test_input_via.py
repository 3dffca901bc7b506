"""A network that learned from photos shrunk twice is shown photos shrunk twice."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from inference_worker import preprocessing
from inference_worker.bundle import load
from inference_worker.manifest import Input
from inference_worker.pipeline import Pipeline
from tests.inference_worker import drawing, tiny
from training import cache, drawn, readers


def _sharpness(photo: np.ndarray) -> float:
    return float(np.abs(np.diff(photo.astype(float), axis=0)).mean())


def test_a_square_by_way_of_a_larger_one_is_softer_and_of_the_same_size() -> None:
    photo = np.random.default_rng(2).integers(0, 255, (150, 200, 3)).astype(np.uint8)

    at_once = preprocessing.to_square(photo, 64)
    softer = preprocessing.to_square(photo, 64, via=80)

    assert softer.shape == at_once.shape
    assert _sharpness(softer) < _sharpness(at_once)


@pytest.mark.parametrize("via", [63, 4096])
def test_a_way_that_enlarges_again_or_fills_the_memory_is_refused(via: int) -> None:
    with pytest.raises(ValueError, match="via"):
        Input(size=64, via=via)


def test_what_is_measured_is_shrunk_as_what_is_served(tmp_path: Path) -> None:
    drawn.write(tmp_path / "data")
    record = readers.read(tmp_path / "data", "ham10000")[0]
    photo = readers.Source(tmp_path / "data", "ham10000").pixels(record.path)

    (kept,) = cache.photos(
        [record], data=tmp_path / "data", cache=tmp_path / "cache", size=32, steps=(), via=40
    )

    assert np.array_equal(kept, preprocessing.to_square(photo, 32, via=40))


def test_the_worker_shrinks_by_way_of_what_the_bundle_says(tmp_path: Path) -> None:
    tiny.write(tmp_path)
    bundle = load(tmp_path)
    classifier = bundle.manifest.classifier
    told = dataclasses.replace(classifier.input, via=2 * tiny.SIDE)
    other = dataclasses.replace(
        bundle,
        manifest=dataclasses.replace(
            bundle.manifest, classifier=dataclasses.replace(classifier, input=told)
        ),
    )
    photo = drawing.with_hairs(drawing.lesion())

    at_once, softer = (Pipeline(b).run(photo, always_classify=True) for b in (bundle, other))

    assert at_once.classification is not None
    assert softer.classification is not None
    assert at_once.classification.p_malignant != softer.classification.p_malignant
