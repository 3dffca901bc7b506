"""What is told of the photos that weights came from, and what is not known of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from inference_worker import bundle
from tests.training.smoke import command
from training import begun, dataset, lent, recipe
from training.fit import Run
from training.learned import Learned, learned
from training.loop import FINAL


@pytest.fixture
def own_run(run: Path, tmp_path: Path) -> Path:
    """Return a copy of the fitted run that a test may change."""
    for name in ("data", "drawn.yaml"):
        (tmp_path / name).symlink_to(run / name)
    shutil.copytree(run / "run", tmp_path / "run", ignore=shutil.ignore_patterns("bundle"))
    return tmp_path


def forget(folder: Path, part: str) -> None:
    """Leave a part's weights as an earlier version did: without what made them."""
    path = folder / "run" / part / FINAL
    safetensors.torch.save_file(safetensors.torch.load_file(path), path)


def told(folder: Path, made: Path) -> Learned:
    small = recipe.smoke(recipe.load(str(folder / "drawn.yaml"))[0])
    run = Run(small, folder / "data", folder / "run", torch.device("cpu"), smoke=True)
    own = dataset.labelled(small, run.data, smoke=True)
    others = lent.lent(small, own, run.data, few=run.few)
    return learned(run, own, others, bundle.load_manifest(made)[0].segmenter)


def images(data: list[dict[str, Any]]) -> dict[str, int | None]:
    return {entry["name"]: entry["images"] for entry in data}


def note(folder: Path, made: Path, **changes: object) -> None:
    """Write down that the run was begun with the bundle `made`, with `changes` to what it says."""
    path = folder / "run" / begun.BEGUN
    for checkpoint in (folder / "run").glob("*/checkpoint.safetensors"):
        checkpoint.unlink()
    begun.note(bundle.load(made), folder / "run")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_weights_that_say_nothing_are_not_said_to_come_from_what_would_be_chosen_today(
    own_run: Path,
) -> None:
    forget(own_run, "segmenter")

    assert command(own_run, "export", "--smoke") == 0

    made = bundle.load_manifest(own_run / "run/bundle")[0].training
    assert made["photos_not_known_of"] == ["segmenter"]
    found = images(made["data"])
    assert found["isic2018_task1"] is None
    assert found["ham10000"] is not None
    card = (own_run / "run/model-card.md").read_text()
    assert "From which photos segmenter came is not known" in card
    assert "| isic2018_task1 | unknown | not known | not known |" in card


def test_what_a_run_trained_itself_is_counted(run: Path) -> None:
    made = bundle.load_manifest(run / "run/bundle")[0].training

    assert made["photos_not_known_of"] == []
    assert set(images(made["data"])) == {"ham10000", "ham10000_224", "isic2017", "isic2018_task1"}
    assert all(images(made["data"]).values())
    assert "not known" not in (run / "run/model-card.md").read_text().split("## Data")[1][:900]


def test_of_a_silent_member_no_set_is_counted_that_members_learn_from(
    run: Path, own_run: Path
) -> None:
    forget(own_run, "member-1")

    found = told(own_run, run / "run/bundle")

    assert found.not_known == ["member-1"]
    counts = images(found.data)
    assert counts.pop("isic2018_task1")
    assert set(counts.values()) == {None}


def test_what_a_lent_bundle_does_not_know_stays_unknown(run: Path, own_run: Path) -> None:
    data = [{"name": "isic2018_task1", "licence": "x", "images": None, "lesions": None}]
    note(own_run, run / "run/bundle", data=data, photos_not_known_of=["segmenter"])

    found = told(own_run, run / "run/bundle")

    assert found.not_known == ["segmenter"]
    assert images(found.data)["isic2018_task1"] is None


def test_a_set_that_only_the_lent_weights_learned_from_is_told_too(
    run: Path, own_run: Path
) -> None:
    data = [{"name": "isic2019", "licence": "x", "images": 7, "lesions": 5}]
    note(own_run, run / "run/bundle", data=data)

    found = told(own_run, run / "run/bundle")

    assert images(found.data)["isic2019"] == 7
    assert found.not_known == []


@pytest.mark.parametrize("noted", [None, "of another"])
def test_a_begun_run_does_not_know_a_segmenter_that_the_bundle_did_not_lend(
    run: Path, own_run: Path, noted: str | None
) -> None:
    """Nor where an earlier version noted nothing of it."""
    note(own_run, run / "run/bundle", data=[], segmenter=noted)

    found = told(own_run, run / "run/bundle")

    assert found.not_known == ["segmenter"]
    assert images(found.data)["isic2018_task1"] is None
