"""Where a coarse answer lies near a decision, the reference is asked."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from inference_worker import engines
from inference_worker.bundle import Bundle
from inference_worker.engine_options import parse
from inference_worker.engines import BFLOAT16_BAND, FLOAT32_BAND, Engines, Rung
from inference_worker.exactness import log_odds
from inference_worker.manifest import FixedGate, Gate
from inference_worker.pipeline import Pipeline
from inference_worker.verdict import CLASSES, Category, Rejection, Verdict
from tests.inference_worker import rounding
from tests.inference_worker.drawing import photo
from tests.inference_worker.moved import Larger, Shifted

MALIGNANT = [CLASSES.index(name) for name in ("mel", "bcc", "akiec")]
MELANOMA = MALIGNANT[0]


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


@pytest.fixture(scope="module")
def real(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    """Return bfloat16 and float32 by OpenVINO, and the reference."""
    return rounding.bfloat16_ladder(bundle, tmp_path_factory.mktemp("cache"))


class Mild:
    """An engine with logits a tenth as large: no view is so sure that it cannot be turned."""

    def __init__(self, engine: engines.Engine) -> None:
        self.engine = engine

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, features = self.engine.forward(batch)
        return logits / 10, features


def shifted(ready: Engines, *by: torch.Tensor, bands: tuple[float, ...]) -> Engines:
    """Return `ready` with milder logits, those of each rung shifted, and with other bands."""
    ladder = tuple(
        Rung(rung.name, tuple(Shifted(Mild(member), shift) for member in rung.members), band)
        for rung, shift, band in zip(ready.ladder, by, bands, strict=True)
    )
    return dataclasses.replace(ready, ladder=ladder)


def melanoma_against_others(told: Verdict) -> float:
    found = told.classification
    assert found is not None
    assert found.p_melanoma is not None
    return log_odds(found.p_melanoma, found.p_malignant - found.p_melanoma)


def last_bias(bundle: Bundle, distance: float) -> torch.Tensor:
    """Return the bias that makes the reference sure of a malignancy, and melanoma so likely."""
    plain, bias = engines.plain(bundle), torch.zeros(len(CLASSES))
    bias[MALIGNANT] = 8.0
    for _ in range(30):
        told = Pipeline(bundle, shifted(plain, bias, bands=(0.0,))).run(photo())
        missing = distance - melanoma_against_others(told)
        if abs(missing) < 2e-5:
            return bias
        bias[MELANOMA] += missing * bundle.manifest.temperature
    raise AssertionError(f"melanoma stays {missing} away from {distance}")


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize(
    ("rung", "band"), [(0, BFLOAT16_BAND), (1, FLOAT32_BAND)], ids=["bfloat16", "float32"]
)
def test_melanoma_nearly_as_likely_as_the_other_malignancies_is_told_as_by_the_reference(
    bundle: Bundle, real: Engines, rung: int, band: float, side: int
) -> None:
    """The rung's error, within its band, would turn melanoma into another malignancy, or back."""
    described = dataclasses.replace(bundle.manifest, gate=Gate(fixed=FixedGate(0.9)))
    gated = dataclasses.replace(bundle, manifest=described)
    bias = last_bias(gated, side * 0.4 * band / described.temperature)
    wrong = bias.clone()
    wrong[MELANOMA] -= side * 0.8 * band
    shifts = [wrong if rung == number else bias for number in range(3)]
    bands = tuple(found.band for found in real.ladder)
    assert bands == (BFLOAT16_BAND, FLOAT32_BAND, 0.0)

    reference = Pipeline(gated, shifted(engines.plain(gated), bias, bands=(0.0,))).run(photo())
    model = Pipeline(gated, shifted(real, *shifts, bands=bands))
    asked = model.begin(photo())
    found = model.finish(asked)

    expected = Category.MELANOMA if side > 0 else Category.MALIGNANT
    assert reference.classification is not None
    assert found.classification is not None
    assert found.classification.category is reference.classification.category is expected
    assert asked.rungs == rung + 2
    # Taken at its word, the rung would have told the other.
    trusted = tuple(0.0 if rung == number else band for number, band in enumerate(bands))
    blind = Pipeline(gated, shifted(real, *shifts, bands=trusted)).run(photo()).classification
    assert blind is not None
    assert {blind.category, expected} == {Category.MELANOMA, Category.MALIGNANT}
