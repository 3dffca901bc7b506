from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.test_loop import CPU, STAGES, Blobs, Counting, PowerCutError
from training import checkpoint, loop
from training.augment import Augmentation
from training.ended import OtherRecipeError
from training.loop import CHECKPOINT, FINAL, Stage


def fit(
    task: Blobs, out: Path, *stages: Stage, made_of: str = "a", resume: bool = True
) -> dict[str, torch.Tensor]:
    optimiser = loop.Optimiser(lr=0.05, batch=8, ema=0.8, precision="fp32")
    place = loop.Place(out, CPU)
    found = loop.fit(
        task, stages or STAGES, optimiser, place, seed=3, resume=resume, made_of=made_of
    )
    return load_file(found)


def test_a_run_killed_before_its_weights_were_written_ends_without_learning_anew(
    tmp_path: Path,
) -> None:
    whole = fit(Blobs(), tmp_path)
    (tmp_path / FINAL).unlink()
    left = Counting()

    again = fit(left, tmp_path)

    assert left.learnt == 0
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_weights_that_do_not_say_what_made_them_are_made_from_the_checkpoint(
    tmp_path: Path,
) -> None:
    """As an earlier version left them, killed between its weights and its plan."""
    whole = fit(Blobs(), tmp_path)
    task = Blobs()
    checkpoint.load_weights(tmp_path / FINAL, task.model)
    checkpoint.save_weights(tmp_path / FINAL, task.model)

    again = fit(Blobs(), tmp_path)

    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_another_recipe_does_not_go_on_with_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(PowerCutError):
        fit(Blobs(dies_in_epoch=3), tmp_path)

    with pytest.raises(OtherRecipeError, match=r"another recipe or other data.*without --resume"):
        fit(Blobs(), tmp_path, made_of="b")

    assert (tmp_path / CHECKPOINT).exists()


def test_another_recipe_does_not_take_ended_weights_for_its_own(tmp_path: Path) -> None:
    fit(Blobs(), tmp_path)

    with pytest.raises(OtherRecipeError, match=FINAL):
        fit(Blobs(), tmp_path, made_of="b")
    with pytest.raises(OtherRecipeError, match="another schedule"):
        fit(Blobs(), tmp_path, Stage(4, 1, 20), STAGES[1])

    assert fit(Blobs(), tmp_path, made_of="b", resume=False)


def test_a_further_stage_that_does_not_restart_is_not_taken_for_trained(tmp_path: Path) -> None:
    fit(Blobs(), tmp_path)

    with pytest.raises(OtherRecipeError, match="restart: true"):
        fit(Blobs(), tmp_path, *STAGES, Stage(4, 1, 20))


def test_a_stage_of_its_own_augmentation_is_known_again(tmp_path: Path) -> None:
    own = Stage(4, 1, 20, restart=True, augmentation=Augmentation(scale=(0.5, 1.0)))
    fit(Blobs(), tmp_path, *STAGES, own)
    left = Counting()
    fit(left, tmp_path, *STAGES, own)
    assert left.learnt == 0
    with pytest.raises(OtherRecipeError, match="another schedule"):
        fit(Blobs(), tmp_path, *STAGES, replace(own, augmentation=None))


def begin(
    out: Path,
    weights: dict[str, torch.Tensor],
    *stages: Stage,
    had: int = len(STAGES),
    task: Counting | None = None,
    **more: object,
) -> Counting:
    """Train `stages` from what the first two of them led to, or those it `had`."""
    task = task or Counting()
    optimiser = loop.Optimiser(lr=0.05, batch=8, ema=0.8, precision="fp32", **more)  # type: ignore[arg-type] - of any optimiser's options
    begun = loop.Begun(weights, had)
    loop.fit(task, stages, optimiser, loop.Place(out, CPU), seed=3, resume=True, begun=begun)
    return task


def test_weights_alone_are_gone_on_from_where_their_stages_end(tmp_path: Path) -> None:
    first = fit(Blobs(), tmp_path / "first")
    further = Stage(8, 2, 24, restart=True)

    went_on = begin(tmp_path / "longer", first, *STAGES, further)
    again = begin(tmp_path / "longer", first, *STAGES, further)

    assert went_on.learnt == 2 * 3
    assert again.learnt == 0
    longer = load_file(tmp_path / "longer" / FINAL)
    assert any(not torch.equal(first[name], longer[name]) for name in first)
    at = checkpoint.read_metadata(tmp_path / "longer" / CHECKPOINT)
    steps = 2 * 3 + 2 * 3 + 2 * 3  # of batches of 8 in 20, 20 and 24 photos
    assert (at["epoch"], at["step"]) == ("6", str(steps))


@pytest.mark.parametrize("more", [{"monitor": "figure"}, {}])
def test_weights_that_had_every_stage_are_kept_as_they_are(
    tmp_path: Path, more: dict[str, object]
) -> None:
    """Also where the last of them blended, and in a folder where others lie."""
    first = fit(Blobs(), tmp_path / "first")
    fit(Blobs(), tmp_path / "same", *STAGES, Stage(8, 1, 24, restart=True, blend=0.5))
    for name in (FINAL, CHECKPOINT):
        (tmp_path / "same" / name).unlink()
    last = STAGES[1] if more else replace(STAGES[1], restart=True, blend=0.5)

    left = begin(tmp_path / "same", first, STAGES[0], last, **more)

    same = load_file(tmp_path / "same" / FINAL)
    assert left.learnt == 0
    assert all(torch.equal(first[name], same[name]) for name in first)


def test_weights_alone_are_not_gone_on_from_without_a_restart(tmp_path: Path) -> None:
    first = fit(Blobs(), tmp_path / "first")

    with pytest.raises(OtherRecipeError, match="restart: true"):
        begin(tmp_path / "longer", first, *STAGES, Stage(8, 1, 24))


class Worse(Counting):
    """What it learns is worse than what it begins with."""

    def validate(self, _model: torch.nn.Module, _size: int) -> dict[str, float]:
        return {"figure": -float(self.learnt)}


def test_a_watched_training_keeps_what_it_began_with_where_nothing_better_comes(
    tmp_path: Path,
) -> None:
    first = fit(Blobs(), tmp_path / "first")
    further = Stage(8, 2, 24, restart=True)

    begin(tmp_path / "longer", first, *STAGES, further, task=Worse(), monitor="figure")

    kept = load_file(tmp_path / "longer" / FINAL)
    assert all(torch.equal(first[name], kept[name]) for name in first)


def test_a_refused_beginning_leaves_what_is_there(tmp_path: Path) -> None:
    first = fit(Blobs(), tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    (tmp_path / FINAL).unlink()
    (tmp_path / loop.BEST).write_bytes(b"best")

    with pytest.raises(OtherRecipeError):
        begin(tmp_path, first, *STAGES, Stage(8, 1, 24))

    assert (tmp_path / loop.BEST).exists()


def test_each_cycle_blends_where_it_ends(tmp_path: Path) -> None:
    """As if its weights had been kept then, and begun with."""
    further = Stage(8, 2, 24, restart=True, blend=0.25)
    again = Stage(4, 1, 20, restart=True)
    first = fit(Blobs(), tmp_path / "first", *STAGES, further)
    begin(tmp_path / "begun", first, *STAGES, further, again, had=3)

    whole = fit(Blobs(), tmp_path / "whole", *STAGES, further, again)
    fit(Blobs(), tmp_path / "first", *STAGES, further, again)

    for other in ("begun", "first"):
        same = load_file(tmp_path / other / FINAL)
        for name in whole:
            assert torch.allclose(same[name], whole[name], atol=1e-6), name


def test_what_a_restart_found_and_what_it_led_to_are_blended(tmp_path: Path) -> None:
    first = fit(Blobs(), tmp_path / "first")
    further = Stage(8, 2, 24, restart=True)
    whole = fit(Blobs(), tmp_path / "whole", *STAGES, further)

    blended = fit(Blobs(), tmp_path / "blended", *STAGES, replace(further, blend=0.25))

    moved = [name for name in first if first[name].dtype.is_floating_point]
    assert any(not torch.equal(first[name], whole[name]) for name in moved)
    for name in moved:
        between = first[name] + 0.25 * (whole[name] - first[name])
        assert torch.allclose(blended[name], between, atol=1e-6)


def test_a_blended_run_that_was_killed_ends_in_the_same_weights(tmp_path: Path) -> None:
    further = Stage(8, 2, 24, restart=True, blend=0.5)
    whole = fit(Blobs(), tmp_path / "whole", *STAGES, further)
    for epoch in (5, 6):
        with pytest.raises(PowerCutError):
            fit(Blobs(dies_in_epoch=epoch), tmp_path / str(epoch), *STAGES, further)

        again = fit(Blobs(), tmp_path / str(epoch), *STAGES, further)

        assert all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.parametrize("wrong", [{"blend": 0.5}, {"blend": 0.0, "restart": True}, {"blend": 1.5}])
def test_a_blend_is_a_share_of_the_way_since_a_restart(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="'blend' is above 0 and up to 1"):
        Stage(8, 1, 24, **wrong)  # type: ignore[arg-type] - of two fields
