"""Random weights whose answers mean something: rounding shows in them, and the gate parts them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import material, photos
from inference_worker.bundle import Bundle, load
from inference_worker.engines import Anchored, TorchEngine
from inference_worker.exactness import log_odds
from inference_worker.pipeline import Pipeline
from inference_worker.verdict import Classification
from tests.inference_worker.rounding import rounded

SIDE = 64
PHOTOS = photos.draw_photos(3)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    material.write_bundle(folder, "convnext_atto", members=2, side=SIDE, views=9)
    material.place_gate(folder, PHOTOS)
    return load(folder)


@pytest.fixture(scope="module")
def said(bundle: Bundle) -> list[Classification]:
    pipeline = Pipeline(bundle)
    told = [pipeline.run(photo, always_classify=True).classification for photo in PHOTOS]
    return [one for one in told if one is not None]


def views() -> torch.Tensor:
    return material.drawn(SIDE)[:3]


def test_every_block_of_a_convnext_has_its_say(bundle: Bundle) -> None:
    """As it is made, one could be left out and the answer would stay the same."""
    member = bundle.members[0]
    expected = member(views())
    gammas = [p for name, p in member.named_parameters() if name.endswith(".gamma")]
    assert len(gammas) == 12
    for gamma in gammas:
        kept = gamma.clone()
        gamma.zero_()
        assert (member(views()) - expected).abs().max() > 0.05
        gamma.copy_(kept)


def test_the_photos_get_different_answers_and_the_gate_parts_them(
    said: list[Classification],
) -> None:
    assert len({one.decided for one in said}) == 2
    assert all(max(one.probabilities.values()) > 0.3 for one in said)
    odds = [log_odds(one.confidence, 1 - one.confidence) for one in said]
    gate = log_odds(said[0].threshold, 1 - said[0].threshold)
    assert min(abs(one - gate) for one in odds) > 0.5  # none of them is asked again


def test_members_differ_and_agree(said: list[Classification]) -> None:
    for one in said:
        first, second = (member.p_malignant for member in one.members)
        assert 1e-3 < abs(first - second) < 0.3


def test_rounding_to_bfloat16_shows_in_the_answer(bundle: Bundle) -> None:
    exact = TorchEngine(bundle.members[0])
    coarse = Anchored(TorchEngine(rounded(bundle.members[0])), exact)
    expected, found = (engine.forward(views())[0].softmax(1) for engine in (exact, coarse))
    assert 1e-3 < (found - expected).abs().max() < 0.1


def test_the_same_bundle_is_written_again(bundle: Bundle, tmp_path: Path) -> None:
    material.write_bundle(tmp_path, "convnext_atto", members=2, side=SIDE, views=9)
    material.place_gate(tmp_path, PHOTOS)
    assert load(tmp_path).sha256 == bundle.sha256


def test_one_photo_leaves_the_gate_where_it_is(bundle: Bundle, tmp_path: Path) -> None:
    material.write_bundle(tmp_path, "convnext_atto", members=1, side=SIDE, views=1)
    before = load(tmp_path).manifest.gate
    material.place_gate(tmp_path, PHOTOS[:1])
    assert load(tmp_path).manifest.gate == before
