"""Several photos judged together say what each says alone, and none pays for another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from inference_worker import engines
from inference_worker.bundle import load
from inference_worker.drafts import Photo
from inference_worker.engine_options import parse
from inference_worker.errors import NonFiniteError, WrongOutputError
from inference_worker.pipeline import Pipeline
from inference_worker.verdict import Rejection, Stage, Verdict
from tests.inference_worker import drawing, tiny

MEMBERS = 5


class Counting:
    """A member that counts its passes and the views in each."""

    def __init__(self, engine: engines.TorchEngine, passes: list[int]) -> None:
        self.engine, self.passes = engine, passes

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        self.passes.append(len(x))
        return self.engine.classifier.forward_features(x)

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return self.engine.classifier.forward_head(features)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("bundle"), segmenter_bias=0.5, ood_limit=1e6)


@pytest.fixture
def passes() -> list[int]:
    return []


@pytest.fixture
def pipeline(folder: Path, passes: list[int]) -> Pipeline:
    bundle = load(folder)
    plain = engines.plain(bundle)
    members = tuple(
        engines.TorchEngine(Counting(member, passes)) for member in plain.ladder[0].members
    )
    rung = engines.Rung("counting", members, 0.0)
    return Pipeline(bundle, engines.Engines((rung,), plain.first, plain.segmenter))


def drawn() -> list[np.ndarray]:
    return [
        drawing.lesion(300, 225),
        drawing.with_hairs(drawing.lesion(300, 225)),
        drawing.lesion(240, 200, colour=(60, 40, 35)),
    ]


def same(one: Verdict, other: Verdict) -> bool:
    said, again = one.classification, other.classification
    assert said is not None
    assert again is not None
    assert one.heatmap is not None
    assert other.heatmap is not None
    assert list(said.probabilities.values()) == pytest.approx(
        list(again.probabilities.values()), abs=1e-6
    )
    assert np.array(one.heatmap.grid) == pytest.approx(np.array(other.heatmap.grid), abs=1e-4)
    return (said.category, said.votes, one.outline) == (again.category, again.votes, other.outline)


def test_together_each_photo_gets_the_verdict_that_it_gets_alone(pipeline: Pipeline) -> None:
    alone = [pipeline.run(pixels) for pixels in drawn()]
    photos = [pipeline.begin(pixels) for pixels in drawn()]
    pipeline.ask_together(photos)
    together = [pipeline.finish(photo) for photo in photos]
    assert all(same(one, other) for one, other in zip(alone, together, strict=True))
    first, *others = alone
    assert all(one.classification != first.classification for one in others)


def test_each_member_passes_once_over_the_views_of_all(
    pipeline: Pipeline, passes: list[int]
) -> None:
    photos = [pipeline.begin(pixels) for pixels in drawn()]
    pipeline.ask_together(photos)
    for photo in photos:
        pipeline.finish(photo)
    assert photos[0].views is not None
    assert passes == [3 * len(photos[0].views)] * MEMBERS


def test_each_photo_of_a_group_is_set_right_by_its_own_exact_view(folder: Path) -> None:
    """In bfloat16, as a GPU judges groups: anchored to another photo, it would not come near."""
    bundle = load(folder)
    ready = engines.build(bundle, parse("torch-bfloat16"))
    pipeline = Pipeline(bundle, ready)
    photos = [pipeline.begin(pixels) for pixels in drawn()]

    pipeline.ask_together(photos)

    for photo in photos:
        assert photo.told is not None
        for member, told in zip(ready.ladder[-1].members, photo.told, strict=True):
            logits, features = member.forward(photo.views)
            assert torch.allclose(told.logits[0], logits[0], atol=1e-4)
            assert torch.allclose(told.features, features[:1], rtol=1e-3, atol=1e-3)
            assert (told.logits - logits).abs().max() <= 0.1 * logits.abs().max()
    alone = pipeline.run(drawn()[1]).classification
    found = pipeline.finish(photos[1]).classification
    assert found.category is alone.category
    assert found.probabilities == pytest.approx(alone.probabilities, abs=0.01)


def test_one_photo_is_not_asked_together_with_nobody(pipeline: Pipeline, passes: list[int]) -> None:
    pipeline.ask_together([pipeline.begin(drawn()[0])])
    assert passes == []


def test_a_rejected_photo_stays_out_of_the_pass(pipeline: Pipeline, passes: list[int]) -> None:
    black = np.zeros((225, 300, 3), np.uint8)
    photos = [pipeline.begin(pixels) for pixels in (*drawn()[:2], black)]
    pipeline.ask_together(photos)
    assert photos[0].views is not None
    assert passes == [2 * len(photos[0].views)] * MEMBERS
    assert pipeline.finish(photos[2]).rejection is Rejection.TOO_DARK
    assert pipeline.finish(photos[0]).rejection is None


def test_numbers_that_are_none_fail_their_own_photo_alone(pipeline: Pipeline) -> None:
    photos = [pipeline.begin(pixels) for pixels in drawn()]
    assert photos[1].views is not None
    photos[1].views.fill_(float("nan"))
    pipeline.ask_together(photos)
    with pytest.raises(NonFiniteError):
        pipeline.finish(photos[1])
    assert same(pipeline.finish(photos[0]), pipeline.run(drawn()[0]))
    assert same(pipeline.finish(photos[2]), pipeline.run(drawn()[2]))


def test_after_a_pass_that_failed_each_photo_is_asked_by_itself(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [pipeline.begin(pixels) for pixels in drawn()]

    def refuse(_tensors: object) -> torch.Tensor:
        raise WrongOutputError("a member", expected=(1,), found=(2,))

    with monkeypatch.context() as patched:
        patched.setattr(torch, "cat", refuse)
        with pytest.raises(WrongOutputError):
            pipeline.ask_together(photos)
    assert same(pipeline.finish(photos[0]), pipeline.run(drawn()[0]))


def test_stages_are_told_once_and_in_order_for_each_photo(pipeline: Pipeline) -> None:
    told: list[list[Stage]] = [[], []]
    photos = [
        pipeline.begin(pixels, on_stage=stages.append)
        for pixels, stages in zip(drawn()[:2], told, strict=True)
    ]
    pipeline.ask_together(photos)
    verdicts = [pipeline.finish(photo) for photo in photos]
    assert told == [[*Stage], [*Stage]]
    assert [list(verdict.timings) for verdict in verdicts] == [[s.value for s in Stage]] * 2


class Other:
    """An engine for one size of batch."""

    def __init__(self, engine: engines.Engine) -> None:
        self.engine = engine

    def forward(self, views: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.engine.forward(views)


def test_engines_for_one_size_of_batch_are_not_asked_together(folder: Path) -> None:
    bundle = load(folder)
    plain = engines.plain(bundle)
    rung = engines.Rung("other", tuple(Other(m) for m in plain.ladder[0].members), 0.0)
    pipeline = Pipeline(bundle, engines.Engines((rung,), plain.first, plain.segmenter))
    photos: list[Photo] = [pipeline.begin(pixels) for pixels in drawn()[:2]]
    pipeline.ask_together(photos)
    assert [photo.told for photo in photos] == [None, None]
    assert pipeline.finish(photos[0]).classification is not None


def test_a_gpu_takes_several_at_once_and_a_cpu_one(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pipeline.at_once == 1
    monkeypatch.setattr(pipeline, "_device", torch.device("cuda"))
    assert pipeline.at_once == 8
