"""Every engine against plain PyTorch on the same weights and photos."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from inference_worker import engines, openvino_cache
from inference_worker.bundle import Bundle, load
from inference_worker.engine_options import Options, parse
from inference_worker.engines import Engines, Rung
from inference_worker.manifest import FixedGate, Gate
from inference_worker.openvino_cache import ConversionError
from inference_worker.pipeline import Pipeline
from tests.inference_worker import drawing, tiny

EVERY = ["openvino-float32", "openvino-bfloat16", "torch-float32", "torch-bfloat16"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    return load(tiny.write(folder, members=2, segmenter_bias=0.5, ood_limit=1e6))


def views(count: int = 8) -> torch.Tensor:
    return torch.randn(count, 3, tiny.SIDE, tiny.SIDE, generator=torch.Generator().manual_seed(3))


def photo() -> np.ndarray:
    return drawing.with_hairs(drawing.lesion(300, 225))


def ladder(bundle: Bundle, name: str, cache: Path) -> Engines:
    return engines.build(bundle, parse(name, cache=cache))


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("name", EVERY)
def test_logits_and_feature_map_are_those_of_the_plain_pass(
    bundle: Bundle, cache: Path, name: str, count: int
) -> None:
    relative = 0.15 if name.endswith("16") else 1e-4
    fast = ladder(bundle, name, cache).ladder[0]
    assert fast.name == name
    for engine, reference in zip(
        fast.members, engines.plain(bundle).ladder[0].members, strict=True
    ):
        logits, features = engine.forward(views(count))
        plain_logits, plain_features = reference.forward(views(count))
        pairs = (logits, plain_logits), (features[:1], plain_features[:1])
        for found, expected in pairs:
            assert found.dtype == torch.float32
            assert found.shape == expected.shape
            assert (found - expected).abs().max() <= relative * expected.abs().max()


def test_a_coarse_pass_is_set_right_by_an_exact_one_of_the_first_view(bundle: Bundle) -> None:
    exact = engines.plain(bundle).ladder[0].members[0]
    off = torch.linspace(-0.2, 0.2, 7)
    coarse = Shifted(exact, off)

    logits, features = engines.Anchored(coarse, exact).forward(views())

    expected, plain_features = exact.forward(views())
    assert (coarse.forward(views())[0] - expected).abs().max() > 0.1
    assert torch.allclose(logits, expected, atol=1e-4)
    assert torch.allclose(features, plain_features[:1], atol=1e-4)


def test_the_map_of_a_bfloat16_answer_is_that_of_float32(bundle: Bundle, cache: Path) -> None:
    fast, exact = ladder(bundle, "openvino-bfloat16", cache).ladder[:2]
    for member, reference in zip(fast.members, exact.members, strict=True):
        found, expected = member.forward(views())[1], reference.forward(views())[1][:1]
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("has", "name"), [(True, "bfloat16"), (False, "float32")])
def test_left_to_the_machine_bfloat16_is_used_where_the_cpu_multiplies_it(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch, has: bool, name: str
) -> None:
    monkeypatch.setattr(engines, "cpu_multiplies_bfloat16", lambda: has)

    assert engines.build(bundle, parse("auto", cache=cache)).ladder[0].name == f"openvino-{name}"
    named = engines.build(bundle, parse("openvino", cache=cache))
    assert named.ladder[0].name == "openvino-float32"


@pytest.mark.parametrize("name", EVERY)
def test_the_segmenter_and_the_first_member_are_exact_on_every_engine(
    bundle: Bundle, cache: Path, name: str
) -> None:
    ready, plain = ladder(bundle, name, cache), engines.plain(bundle)
    found, expected = ready.segmenter.forward(views(1)), plain.segmenter.forward(views(1))
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)
    pairs = zip(ready.first.forward(views(1)), plain.first.forward(views(1)), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in pairs)


def test_what_an_engine_returned_is_not_overwritten_by_its_next_pass(
    bundle: Bundle, cache: Path
) -> None:
    engine = ladder(bundle, "openvino-float32", cache).ladder[0].members[0]
    logits, features = engine.forward(views())
    kept = logits.clone(), features.clone()
    engine.forward(views() * 2)
    assert torch.equal(logits, kept[0])
    assert torch.equal(features, kept[1])


@pytest.mark.parametrize("name", EVERY)
def test_a_ladder_ends_at_the_reference_and_its_bands_narrow(
    bundle: Bundle, cache: Path, name: str
) -> None:
    rungs = ladder(bundle, name, cache).ladder
    assert (rungs[-1].name, rungs[-1].band) == ("torch-float32", 0.0)
    bands = [rung.band for rung in rungs]
    assert bands == sorted(bands, reverse=True)


def test_a_bundle_that_openvino_cannot_take_runs_on_pytorch_unless_it_was_asked_for(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward_features(self, _: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("an odd operation")

    odd = dataclasses.replace(bundle, members=(Odd(),))
    assert engines.build(odd, Options()).ladder[0].name == "torch-float32"
    assert "odd operation" in caplog.text
    with pytest.raises(ConversionError):
        engines.build(odd, Options("openvino"))


def test_a_converted_network_of_another_bundle_is_never_taken(
    bundle: Bundle, cache: Path, tmp_path: Path
) -> None:
    ladder(bundle, "openvino", cache)
    other = load(tiny.write(tmp_path, members=2, temperature=1.7))
    assert other.sha256 != bundle.sha256
    assert openvino_cache.SEGMENTER not in openvino_cache.networks(other, cache)


class Shifted:
    """An engine whose every logit lies a stated amount off, as a coarse precision's may."""

    def __init__(self, engine: engines.Engine, shift: torch.Tensor) -> None:
        self.engine, self.shift, self.asked = engine, shift, 0

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.asked += 1
        logits, features = self.engine.forward(batch)
        return logits + self.shift, features


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


def test_an_answer_far_from_every_decision_is_not_asked_again(
    bundle: Bundle, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    manifest = dataclasses.replace(bundle.manifest, gate=Gate(fixed=FixedGate(1 - 1e-9)))
    far = dataclasses.replace(bundle, manifest=manifest)
    ready = ladder(far, "openvino-bfloat16", cache)
    Pipeline(far, ready).run(photo())
    assert "asking on" not in caplog.text
