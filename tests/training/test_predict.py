"""Opinions are kept, but only those of these weights, looked at in this way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training import drawn
from training import checkpoint, dataset, networks, predict, recipe
from training.fit import Run
from training.loop import FINAL


@pytest.fixture
def run(tmp_path: Path) -> Run:
    drawn.write(tmp_path / "data")
    (tmp_path / "drawn.yaml").write_text(drawn.RECIPE)
    made = recipe.smoke(recipe.load(str(tmp_path / "drawn.yaml"))[0])
    run = Run(made, tmp_path / "data", tmp_path / "run", torch.device("cpu"), smoke=True)
    fitted(run, seed=1)
    return run


def fitted(run: Run, seed: int) -> None:
    """Leave weights where a training does."""
    torch.manual_seed(seed)
    model = networks.classifier(run.recipe.classifier, len(run.recipe.outputs), None)
    run.member(0).mkdir(parents=True, exist_ok=True)
    checkpoint.save_weights(run.member(0) / FINAL, model)


def opinions(run: Run) -> np.ndarray:
    return predict.member(run, dataset.labelled(run.recipe, run.data, smoke=True), 0).probabilities


def kept(run: Run) -> int:
    return len(list((run.out / "predictions").iterdir()))


def test_a_member_fitted_anew_in_the_same_folder_is_asked_anew(run: Run) -> None:
    before = opinions(run)
    fitted(run, seed=2)

    after = opinions(run)

    assert before.shape == after.shape
    assert not np.allclose(before, after)
    fitted(run, seed=1)
    assert np.array_equal(opinions(run), before)
    assert kept(run) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"views": ("identity", "hflip", "rot180")},
        {"storage": "half"},
        {"preprocessing": ()},
    ],
)
def test_photos_looked_at_otherwise_are_looked_at_anew(run: Run, other: dict[str, object]) -> None:
    opinions(run)

    opinions(replace(run, recipe=replace(run.recipe, **other)))  # type: ignore[arg-type]

    assert kept(run) == 2


def test_what_was_asked_once_is_not_asked_again(run: Run) -> None:
    before = opinions(run)
    (only,) = (run.out / "predictions").iterdir()
    stamp = only.stat().st_mtime_ns

    assert np.array_equal(opinions(run), before)
    assert only.stat().st_mtime_ns == stamp
