"""Passes recorded as graphs: taken only where they say what the pass says, and wiped after each.

As far as a machine without a GPU can tell: of CUDA there is what is imitated here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch

from inference_worker import engines, static_shapes
from inference_worker.bundle import Bundle
from inference_worker.engines import TorchEngine
from inference_worker.pipeline import Pipeline
from inference_worker.static_shapes import PASSES_UNTIL_AGAIN, StaticShapes
from inference_worker.verdict import ImageType
from inference_worker.views import plan
from tests.inference_worker import tiny
from tests.inference_worker.drawing import photo

if TYPE_CHECKING:
    from inference_worker.static_shapes import Step

COUNT = 4
VIEWS = len(plan(tiny.NINE).names)


@pytest.fixture(autouse=True)
def _on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_shapes, "_records", lambda _device: True)


def views(count: int = COUNT, seed: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, tiny.SIDE, tiny.SIDE, generator=generator)


class Scaled:
    """An engine in float32 whose largest logit is about twelve, as those of trained members are."""

    bfloat16 = False

    def __init__(self) -> None:
        self.plain = TorchEngine(tiny.member(0))
        self.factor = 12 / self.plain.forward(views())[0].abs().max()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, features = self.plain.forward(x)
        return logits * self.factor, features


def recorder(
    monkeypatch: pytest.MonkeyPatch, record: Callable[[Step, torch.Tensor], Step]
) -> list[int]:
    """Let `record` stand for CUDA's recording; return how many views each recording had."""
    recorded: list[int] = []

    def note(step: Step, seen: torch.Tensor) -> Step:
        recorded.append(len(seen))
        return record(step, seen)

    monkeypatch.setattr(static_shapes, "as_graph", note)
    return recorded


def off_by(logit: float, share: float = 0.0) -> Callable[[Step, torch.Tensor], Step]:
    """Return a recording that is off in a logit and, by a share of the largest, in a feature."""

    def record(step: Step, _: torch.Tensor) -> Step:
        def replay(new: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits, features = (told.clone() for told in step(new))
            logits[0, 0] += logit
            features[0, 0, 0, 0] += share * features.abs().max()
            return logits, features

        return replay

    return record


def is_replayed(engine: StaticShapes) -> bool:
    """Tell whether the engine, having seen views, replays what was recorded of it."""
    engine.forward(views())
    return engine._passes[COUNT] != engine.engine.forward


def static(*, bfloat16: bool) -> StaticShapes:
    scaled = Scaled()
    scaled.bfloat16 = bfloat16
    found = engines._static(scaled, (COUNT,))
    assert isinstance(found, StaticShapes)
    return found


@pytest.mark.parametrize(
    ("logit", "bfloat16", "taken"),
    [
        (0.0, False, True),
        (5e-5, False, True),
        (5e-4, False, False),
        (1e-2, False, False),  # less than a thousandth of the largest logit
        (5e-3, True, True),
        (5e-2, True, False),
        (float("nan"), False, False),
        (float("nan"), True, False),
    ],
)
def test_a_replay_is_taken_only_where_it_lies_far_within_the_band_of_its_precision(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    logit: float,
    bfloat16: bool,
    taken: bool,
) -> None:
    recorder(monkeypatch, off_by(logit))
    engine = static(bfloat16=bfloat16)

    assert is_replayed(engine) is taken

    assert ("ReplayError" in caplog.text) is not taken
    if not taken:
        found, expected = engine.forward(views()), Scaled().forward(views())
        assert all(map(torch.equal, found, expected))


def test_what_a_replay_may_be_off_is_no_more_than_a_tenth_of_the_band() -> None:
    assert static_shapes.SAME <= engines.FLOAT32_BAND / 10
    assert static_shapes.SAME_IN_BFLOAT16 <= engines.BFLOAT16_BAND / 10


@pytest.mark.parametrize(("share", "taken"), [(5e-5, True), (5e-4, False), (float("nan"), False)])
def test_a_replay_with_another_feature_map_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, share: float, taken: bool
) -> None:
    """The heat map and the check of the distribution are made of it."""
    recorder(monkeypatch, off_by(0.0, share))
    assert is_replayed(static(bfloat16=False)) is taken


def test_a_graph_that_kept_the_views_of_its_recording_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def keep(step: Step, seen: torch.Tensor) -> Step:
        told = step(seen)
        return lambda _: told

    recorder(monkeypatch, keep)
    engine = static(bfloat16=False)
    assert not is_replayed(engine)
    other = views(seed=4)
    assert torch.equal(engine.forward(other)[0], Scaled().forward(other)[0])


def test_what_cannot_be_recorded_is_launched_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_step: Step, _seen: torch.Tensor) -> Step:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    recorded = recorder(monkeypatch, refuse)
    engine = static(bfloat16=False)
    expected, _ = Scaled().forward(views())

    for _ in range(PASSES_UNTIL_AGAIN + 2):
        assert torch.equal(engine.forward(views())[0], expected)

    assert recorded == [COUNT]
    assert caplog.text.count("4 views are not replayed as a graph") == 1
    assert "not permitted" in caplog.text


def run_out() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def break_off() -> None:
    try:
        run_out()
    finally:
        raise RuntimeError("CUDA error: operation failed due to a previous error during capture")


def cublas() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


@pytest.mark.parametrize("fail", [run_out, break_off, cublas])
def test_where_memory_runs_out_the_recording_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch, fail: Callable[[], None]
) -> None:
    short = True

    def record(step: Step, _: torch.Tensor) -> Step:
        if short:
            fail()
        return lambda new: step(new)  # noqa: PLW0108 - another than the pass itself

    recorded = recorder(monkeypatch, record)
    engine = static(bfloat16=False)
    expected, _ = Scaled().forward(views())

    for _ in range(PASSES_UNTIL_AGAIN + 1):
        assert torch.equal(engine.forward(views())[0], expected)
    assert recorded == [COUNT]  # a try costs several passes: most photos pay for none
    short = False
    assert is_replayed(engine)
    assert recorded == [COUNT, COUNT]


class Noted:
    """An engine that keeps what it was last shown and said, as a graph would."""

    def __init__(self, seed: int) -> None:
        self.plain = TorchEngine(tiny.member(seed))
        self.seen, self.told = torch.empty(0), (torch.empty(0), torch.empty(0))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.seen, self.told = x, self.plain.forward(x)
        return self.told

    def as_recorded(self) -> Callable[[], None]:
        """Return what runs the last pass again, in the memory that it was in."""
        held, told = self.seen, self.told

        def replay() -> None:
            with torch.inference_mode():
                for kept, new in zip(told, self.plain.forward(held), strict=True):
                    kept.copy_(new)

        return replay


class Gpu:
    """CUDA's API, for an engine that is `Noted`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pools, self.engine = list[object](), Noted(0)
        stream = SimpleNamespace(wait_stream=lambda _: None)
        fakes = {
            "Stream": lambda: stream,
            "current_stream": lambda: stream,
            "stream": lambda _: nullcontext(),
            "CUDAGraph": SimpleNamespace,
            "graph": self.graph,
            "graph_pool_handle": object,
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)

    @contextmanager
    def graph(self, graph: SimpleNamespace, *, pool: object) -> Iterator[None]:
        self.pools.append(pool)
        yield
        graph.replay = self.engine.as_recorded()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    static_shapes._pool.cache_clear()
    yield Gpu(monkeypatch)
    static_shapes._pool.cache_clear()


def test_all_graphs_share_one_memory(gpu: Gpu) -> None:
    for seed in (0, 1):
        gpu.engine = Noted(seed)
        for count in (1, 4):
            static_shapes._record(gpu.engine, views(count), static_shapes.SAME)
    assert len(gpu.pools) == 4
    assert len(set(map(id, gpu.pools))) == 1


def test_a_graph_holds_nothing_of_a_photo_and_says_the_same_again(gpu: Gpu) -> None:
    engine = StaticShapes(gpu.engine, (COUNT,))
    for seed in (1, 2, 1):
        found, expected = (
            e.forward(views(seed=seed)) for e in (engine, TorchEngine(tiny.member(0)))
        )
        assert all(map(torch.equal, found, expected))
        assert not any(kept.any() for kept in (gpu.engine.seen, *gpu.engine.told))
    assert len(gpu.pools) == 1


@pytest.mark.parametrize("lower", [True, False])
def test_warm_it_records_nothing_at_a_photo_that_is_asked_again(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, lower: bool
) -> None:
    """Nor at a clinical one; and no graph was refused."""
    caplog.set_level(logging.INFO)
    recorded = recorder(monkeypatch, lambda step, _: step)
    ready = engines._torch(bundle, lower=lower, on_gpu=True)
    # Wide enough that every photo is asked again.
    first = engines.Rung(ready.ladder[0].name, ready.ladder[0].members, 1e3)
    model = Pipeline(
        bundle,
        engines.Engines((first, *ready.ladder[1:]), ready.first, ready.segmenter, ready.prepare),
    )
    model.warm()
    before = list(recorded)

    for kind in (ImageType.DERMOSCOPIC, ImageType.CLINICAL):
        assert model.run(photo(), kind).classification is not None

    assert caplog.text.count("asking on") == 1
    assert recorded == before
    assert "not replayed" not in caplog.text
    assert before.count(VIEWS) == (4 if lower else 2)


def test_a_gpu_without_memory_for_what_is_asked_again_starts_all_the_same(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ready = engines._torch(bundle, lower=True, on_gpu=True)
    assert ready.prepare is not None
    with monkeypatch.context() as patched:
        patched.setattr(StaticShapes, "forward", lambda _engine, _seen: run_out())
        ready.prepare()
    assert "no memory now" in caplog.text
