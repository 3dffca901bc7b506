"""How far ours is said to lie from the reference, and what is timed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import naive
from benchmarks.comparison import Apart, Times, compare
from inference_worker import engines
from inference_worker.bundle import load
from inference_worker.calibration import Opinion
from inference_worker.pipeline import Pipeline
from inference_worker.verdict import Category, Heatmap
from tests.inference_worker import drawing, tiny

PROBABILITIES = {"mel": 0.1, "nv": 0.6, "bkl": 0.3}
ANSWER = naive.Answer(
    Opinion(PROBABILITIES, p_malignant=0.1, p_melanoma=0.1),
    Category.BENIGN,
    [np.float32([[0, 1], [0.5, 0]])],
)


def verdict(grid: tuple[tuple[float, ...], ...] = ((0, 1), (0.5, 0)), **said: object) -> object:
    """Return what of a verdict is compared: that of `ANSWER`, but for what it `said`."""
    like = {
        "probabilities": PROBABILITIES,
        "p_malignant": 0.1,
        "p_melanoma": 0.1,
        "category": Category.BENIGN,
    }
    return SimpleNamespace(classification=SimpleNamespace(**like | said), heatmap=Heatmap(grid))


def apart(*verdicts: object) -> Apart:
    found = Apart()
    for one in verdicts:
        found.add(one, ANSWER)
    return found


def test_the_same_answer_is_not_apart() -> None:
    assert apart(verdict()) == Apart(0, 0, 0)


@pytest.mark.parametrize(
    "said",
    [
        {"probabilities": PROBABILITIES | {"nv": 0.58, "bkl": 0.32}},
        {"p_malignant": 0.12},
        {"p_melanoma": 0.08},
    ],
    ids=["among the benign classes alone", "malignant", "melanoma"],
)
def test_every_probability_counts(said: dict[str, object]) -> None:
    assert apart(verdict(), verdict(**said), verdict()).probability == pytest.approx(0.02)


def test_the_heat_map_is_compared_cell_by_cell_with_the_references_own() -> None:
    assert apart(verdict(((0, 1), (0.25, 0)))).heatmap == pytest.approx(0.25)


def test_a_category_that_differs_is_counted() -> None:
    assert apart(verdict(), verdict(category=Category.SUSPICIOUS)).changed == 1


@pytest.mark.parametrize(("band", "share"), [(0.0, 0.0), (100.0, 1.0)])
def test_the_share_of_photos_that_were_asked_again_is_told(
    tmp_path: Path, band: float, share: float
) -> None:
    bundle = load(tiny.write(tmp_path, members=1, segmenter_bias=0.5))
    plain = engines.plain(bundle)
    rungs = (dataclasses.replace(plain.ladder[0], band=band), *plain.ladder)
    ours = {"bfloat16": Pipeline(bundle, dataclasses.replace(plain, ladder=rungs))}
    told = compare(bundle, ours, [drawing.lesion(), drawing.lesion(300, 225)])
    assert told["asked_again_bf16"] == share


def test_a_photo_without_an_opinion_is_not_compared() -> None:
    with pytest.raises(ValueError, match="ask for one"):
        apart(SimpleNamespace(classification=None, heatmap=None))


def test_work_is_timed_and_what_it_returns_is_returned() -> None:
    times = Times()
    assert [times.take(lambda n=n: n + 1) for n in range(3)] == [1, 2, 3]
    assert len(times.clock) == len(times.processor) == 3
    times.clock = [3.0, 1.0, 2.0]
    assert times.spread() == "2.000 s (1.000–3.000)"
