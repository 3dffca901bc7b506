"""Where a coarse answer lies near a decision, the reference is asked."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from inference_worker import engines
from inference_worker.bundle import Bundle, load
from inference_worker.engine_options import parse
from inference_worker.engines import Engines, Rung
from inference_worker.exactness import log_odds
from inference_worker.manifest import FixedGate, Gate
from inference_worker.pipeline import Pipeline
from inference_worker.verdict import Rejection
from tests.inference_worker import drawing, tiny
from tests.inference_worker.moved import Larger, Shifted


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    return load(tiny.write(folder, members=2, segmenter_bias=0.5, ood_limit=1e6))


def photo() -> np.ndarray:
    return drawing.with_hairs(drawing.lesion(300, 225))


@pytest.mark.parametrize("distance", [-0.3, -0.1, -1e-3, 1e-3, 0.1, 0.3])
@pytest.mark.parametrize("shift", [-0.25, 0.25])
def test_a_coarse_answer_near_the_threshold_never_changes_the_category(
    bundle: Bundle, distance: float, shift: float
) -> None:
    """Thresholds chosen against the answer: each so near that the coarse engine may cross it."""
    reference = Pipeline(bundle).run(photo()).classification
    odds = np.log(reference.confidence / (1 - reference.confidence)) + distance
    threshold = float(1 / (1 + np.exp(-max(odds, 0.0))))
    manifest = dataclasses.replace(bundle.manifest, gate=Gate(fixed=FixedGate(threshold)))
    gated = dataclasses.replace(bundle, manifest=manifest)
    moved = torch.zeros(7)
    moved[[0, 1, 4]] = shift
    plain = engines.plain(bundle)
    coarse = tuple(Shifted(engine, moved) for engine in plain.ladder[0].members)
    rungs = (Rung("coarse", coarse, 0.75), *plain.ladder)
    ready = Engines(rungs, plain.first, plain.segmenter)
    exact = Pipeline(gated).run(photo()).classification
    assert Pipeline(gated, ready).run(photo()).classification == exact
    assert [engine.asked for engine in coarse] == [1, 1]
    blind = Engines((Rung("coarse", coarse, 0.0), *plain.ladder), plain.first, plain.segmenter)
    assert Pipeline(gated, blind).run(photo()).classification != exact


@pytest.mark.parametrize(("temperature", "asked_again"), [(0.25, True), (1.0, False)])
def test_a_low_temperature_widens_the_band_as_it_widens_the_error(
    bundle: Bundle, caplog: pytest.LogCaptureFixture, temperature: float, asked_again: bool
) -> None:
    """An error of .2 in the logits is one of .8 in what is told at a temperature of 1/4."""
    caplog.set_level(logging.INFO)
    warm = dataclasses.replace(bundle.manifest, temperature=temperature)
    told = Pipeline(dataclasses.replace(bundle, manifest=warm)).run(photo()).classification
    odds = log_odds(told.confidence, 1 - told.confidence) + 0.5
    gate = Gate(fixed=FixedGate(float(1 / (1 + np.exp(-odds)))))
    gated = dataclasses.replace(bundle, manifest=dataclasses.replace(warm, gate=gate))
    plain = engines.plain(bundle)
    rungs = (Rung("coarse", plain.ladder[0].members, 0.2), *plain.ladder)

    Pipeline(gated, Engines(rungs, plain.first, plain.segmenter)).run(photo())

    assert ("asking on" in caplog.text) is asked_again


@pytest.mark.parametrize("limit_off", [-1e-4, 1e-4, 0.1])
def test_at_the_limit_of_the_distribution_the_reference_decides(
    bundle: Bundle, limit_off: float
) -> None:
    plain = engines.plain(bundle)
    distance = Pipeline(bundle).run(photo()).quality.ood_distance
    limit = dataclasses.replace(bundle.manifest.ood, limit=distance * (1 + limit_off))
    strict = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, ood=limit))
    off = Larger(plain.first, 1 + 5e-4)
    exact = Shifted(plain.ladder[0].members[0], torch.zeros(7))
    rungs = (Rung("reference", (exact, *plain.ladder[0].members[1:]), 0.0),)

    found = Pipeline(strict, Engines(rungs, off, plain.segmenter)).run(photo())

    near = abs(limit_off) < 1e-3
    assert (found.rejection is Rejection.OUT_OF_DISTRIBUTION) is (limit_off < 0)
    assert (found.quality.ood_distance == distance) is near
    assert exact.asked == near + (limit_off > 0)  # once for the limit, once for its opinion


def test_an_answer_far_from_every_decision_is_not_asked_again(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    manifest = dataclasses.replace(bundle.manifest, gate=Gate(fixed=FixedGate(1 - 1e-9)))
    far = dataclasses.replace(bundle, manifest=manifest)
    monkeypatch.setattr(engines, "cpu_multiplies_bfloat16", lambda: True)
    ready = engines.build(far, parse("openvino-bfloat16", cache=tmp_path))
    Pipeline(far, ready).run(photo())
    assert "asking on" not in caplog.text
