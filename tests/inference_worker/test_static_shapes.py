"""Passes of fixed sizes: the same answers, and no other size ever reaches the network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inference_worker import engines, groups, static_shapes
from inference_worker.bundle import load
from inference_worker.engines import Anchored, TorchEngine
from inference_worker.static_shapes import StaticShapes
from tests.inference_worker import tiny

SIZES = (1, 4, 8)


class Counting:
    """A member that keeps how many views each of its passes had."""

    def __init__(self) -> None:
        self.member, self.passes = tiny.member(0), list[int]()

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        self.passes.append(len(x))
        return self.member.forward_features(x)

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return self.member.forward_head(features)


def views(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, 3, tiny.SIDE, tiny.SIDE, generator=generator)


@pytest.mark.parametrize(("count", "passed"), [(1, 1), (2, 4), (4, 4), (5, 8), (8, 8), (9, 9)])
def test_views_are_filled_up_to_the_next_size_and_the_filling_is_dropped(
    count: int, passed: int
) -> None:
    member = Counting()
    expected = TorchEngine(member.member).forward(views(count))

    engine = StaticShapes(TorchEngine(member), SIZES)
    told = engine.forward(views(count))

    assert member.passes == [passed]
    assert set(engine._passes) <= set(SIZES)  # on a GPU each is memory that is not given back
    for found, plain in zip(told, expected, strict=True):
        assert found.shape == plain.shape
        assert torch.allclose(found, plain, rtol=1e-4, atol=1e-4)


def test_a_group_of_photos_passes_in_one_size_and_each_gets_its_own_answer() -> None:
    member = Counting()
    engine = StaticShapes(TorchEngine(member), SIZES)
    photos = [views(2), views(3)]

    told = groups.ask_together([Anchored(engine, engine)], photos)

    assert member.passes == [8, 4]  # five views of both, and one exact view of each
    for (answer,), photo in zip(told, photos, strict=True):
        logits, features = TorchEngine(member.member).forward(photo)
        assert torch.allclose(answer.logits, logits, rtol=1e-4, atol=1e-4)
        assert torch.allclose(answer.features, features[:1], rtol=1e-4, atol=1e-4)


def test_a_segmenter_of_fixed_shape_finds_what_the_plain_one_finds(tmp_path: Path) -> None:
    """Built as for a GPU, on weights that lie on the CPU."""
    bundle = load(tiny.write(tmp_path, segmenter_bias=0.5))
    ready = engines._torch(bundle, lower=False, on_gpu=True)
    plain = engines.plain(bundle)
    assert isinstance(ready.segmenter, engines.StaticSegmenter)
    assert plain.segmenter is not None
    for seed in (1, 2):
        x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(ready.segmenter.forward(x), plain.segmenter.forward(x))
    assert set(ready.segmenter.passes._passes) == {1}


def test_no_more_than_so_many_sizes_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[int] = []

    def note(engine: TorchEngine, filled: torch.Tensor, _same: float) -> static_shapes.Step:
        recorded.append(len(filled))
        return engine.forward

    monkeypatch.setattr(static_shapes, "_recorded", note)
    sizes = tuple(range(1, static_shapes.MOST_SHAPES + 3))
    member = Counting()
    engine = StaticShapes(TorchEngine(member), sizes)
    for _ in "12":
        for size in reversed(sizes):
            logits, _ = engine.forward(views(size))
            expected, _ = TorchEngine(member.member).forward(views(size))
            assert torch.allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert recorded == list(reversed(sizes))[: static_shapes.MOST_SHAPES]
    assert member.passes == [*reversed(sizes)] * 2
