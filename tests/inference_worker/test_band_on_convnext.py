"""The band of bfloat16 on a ConvNeXt, whose layer norms and wide products round otherwise.

The smallest there is, with every block at work (`benchmarks.material`), on drawn photos. By an
imitation of bfloat16 (`tests.inference_worker.rounding`), and by the CPU where it has the real one.
"""

from __future__ import annotations

import dataclasses
import math

import pytest

from benchmarks import material
from benchmarks.photos import draw_photos
from inference_worker.bundle import Bundle, load
from inference_worker.engine_options import cpu_multiplies_bfloat16
from inference_worker.engines import BFLOAT16_BAND, Engines
from inference_worker.exactness import log_odds
from inference_worker.manifest import FixedGate, Gate
from inference_worker.pipeline import Pipeline
from inference_worker.verdict import Classification
from tests.inference_worker.rounding import bfloat16_ladder

PHOTOS = draw_photos(16)
KINDS = ("imitated", "computed") if cpu_multiplies_bfloat16() else ("imitated",)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    material.write_bundle(folder, "convnext_atto", members=2, side=64, views=9)
    return load(folder)


@pytest.fixture(scope="module", params=KINDS)
def ladder(
    bundle: Bundle, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Engines:
    cache = tmp_path_factory.mktemp("cache")
    return bfloat16_ladder(bundle, cache, imitated=request.param == "imitated")


@pytest.fixture(scope="module")
def alone(ladder: Engines) -> Engines:
    """Return bfloat16 without the rungs that put it right."""
    return dataclasses.replace(ladder, ladder=(dataclasses.replace(ladder.ladder[0], band=0.0),))


def classify(pipeline: Pipeline, number: int) -> Classification:
    told = pipeline.run(PHOTOS[number], always_classify=True).classification
    assert told is not None
    return told


def decisive(told: Classification) -> tuple[float, float]:
    """Return what decisions are made by, in log-odds: malignancy, and melanoma against the rest."""
    assert told.p_melanoma is not None
    others = told.p_malignant - told.p_melanoma
    return log_odds(told.p_malignant, 1 - told.p_malignant), log_odds(told.p_melanoma, others)


def test_rounding_moves_no_answer_by_more_than_half_the_band(
    bundle: Bundle, alone: Engines
) -> None:
    moved = []
    for number in range(len(PHOTOS)):
        found = decisive(classify(Pipeline(bundle, alone), number))
        expected = decisive(classify(Pipeline(bundle), number))
        moved += [abs(one - other) for one, other in zip(found, expected, strict=True)]
    assert max(moved) <= BFLOAT16_BAND / 2
    assert max(moved) > BFLOAT16_BAND / 100  # it is bfloat16


@pytest.mark.parametrize("number", range(len(PHOTOS)))
def test_a_gate_between_the_rounded_answer_and_the_true_one_changes_no_category(
    bundle: Bundle, ladder: Engines, alone: Engines, number: int
) -> None:
    """There bfloat16 by itself says otherwise."""
    true, rounded = (
        abs(decisive(classify(pipeline, number))[0])
        for pipeline in (Pipeline(bundle), Pipeline(bundle, alone))
    )
    threshold = 1 / (1 + math.exp(-(true + rounded) / 2))
    manifest = dataclasses.replace(bundle.manifest, gate=Gate(fixed=FixedGate(threshold)))
    gated = dataclasses.replace(bundle, manifest=manifest)
    exact = classify(Pipeline(gated), number).category
    assert classify(Pipeline(gated, alone), number).category != exact
    assert classify(Pipeline(gated, ladder), number).category == exact
