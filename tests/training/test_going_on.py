"""A bundle that a recipe with further stages goes on from, by the command line."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from inference_worker import bundle
from tests.training import drawn
from tests.training.smoke import command

FURTHER = "images: 16}, {size: 64, epochs: 1, images: 16, restart: true}]}\nsegmenter"


MORE = 1842


def learnt_from_more(made: Path, to: Path) -> Path:
    """Copy a bundle that says its segmenter learned from more photos than today's count."""
    shutil.copytree(made, to)
    found = bundle.load_manifest(to)[0]
    data = [
        {**entry, "images": MORE, "lesions": MORE} if entry["name"] == "isic2018_task1" else entry
        for entry in found.training["data"]
    ]
    bundle.write_manifest(to, replace(found, training={**found.training, "data": data}))
    return to


def go_on(run: Path, tmp_path: Path, *changes: tuple[str, str], begin: Path | None = None) -> int:
    """Fit the first member of the drawn recipe, with `changes` to it, from the run's bundle."""
    recipe = drawn.RECIPE
    for was, becomes in changes:
        assert was in recipe
        recipe = recipe.replace(was, becomes)
    (tmp_path / "data").symlink_to(run / "data")
    (tmp_path / "drawn.yaml").write_text(recipe)
    places = ["--from", str(begin or run / "run" / "bundle"), "--only", "segmenter", "0"]
    return command(tmp_path, "fit", "--smoke", *places)


def test_a_bundle_is_gone_on_from_with_the_stages_that_it_has_not_had(
    run: Path, tmp_path: Path
) -> None:
    assert go_on(run, tmp_path, ("images: 16}]}\nsegmenter", FURTHER)) == 0

    stored = bundle.load(run / "run" / "bundle")
    log = list(csv.DictReader((tmp_path / "run/member-0/log.csv").open()))
    assert [row["epoch"] for row in log] == ["1"]
    longer = safetensors.torch.load_file(tmp_path / "run/member-0/final.safetensors")
    began = stored.members[0].state_dict()
    assert any(not torch.equal(longer[name], began[name]) for name in began)
    # The segmenter has had all of its stages: what the bundle holds is what it ends with.
    assert stored.segmenter is not None
    kept = stored.segmenter.state_dict()
    same = safetensors.torch.load_file(tmp_path / "run/segmenter/final.safetensors")
    assert all(torch.equal(same[name], kept[name]) for name in kept)
    assert not (tmp_path / "run/segmenter/log.csv").exists()


def test_a_run_goes_on_with_what_it_was_begun_with_and_its_bundle_says_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = learnt_from_more(run / "run/bundle", tmp_path / "begin")
    assert go_on(run, tmp_path, ("images: 16}]}\nsegmenter", FURTHER), begin=begin) == 0
    resume = ["fit", "--smoke", "--resume"]

    assert command(tmp_path, *resume) == 2
    assert "was begun with drawn 0.0.1" in capsys.readouterr().err
    assert command(run, *resume, "--from", str(run / "run/bundle")) == 2
    assert "was not begun with a bundle" in capsys.readouterr().err
    assert command(tmp_path, *resume, "--from", str(begin)) == 0

    made, sha256 = bundle.load_manifest(begin)
    told = bundle.load_manifest(tmp_path / "run/bundle")[0].training
    assert told["begun_with"] == {"name": "drawn", "version": made.version, "sha256": sha256}
    assert made.training["begun_with"] is None
    # The segmenter is the bundle's to the byte: it learned from what that says, whatever the recipe
    # would choose today.
    counts = {entry["name"]: entry["images"] for entry in told["data"]}
    assert counts["isic2018_task1"] == MORE
    assert told["photos_not_known_of"] == []
    assert (
        "went on from the weights that drawn 0.0.1" in (tmp_path / "run/model-card.md").read_text()
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("images: 16}]}\nsegmenter", FURTHER.replace(", restart: true", ""))], "restart: true"),
        ([("folds: 2", "folds: 2, seed: 7")], "another split of the data"),
        ([("mobilenetv2_050", "mobilenetv2_100")], "other networks"),
        ([("seeds: [1, 2]", "seeds: [1]")], "other networks"),
        ([("unet:resnet18", "unet:resnet34")], "other networks"),
        (
            [
                (
                    "schedule: {stages: [{size: 64, epochs: 1, images: 16}]}\n",
                    "schedule: {stages: [{size: 64, epochs: 1, restart: true}]}\n",
                )
            ],
            "how long its segmenter was trained",
        ),
    ],
)
def test_a_bundle_of_another_recipe_is_not_gone_on_from(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: list[tuple[str, str]],
    said: str,
) -> None:
    assert go_on(run, tmp_path, *changes) == 2

    assert said in capsys.readouterr().err
    assert not (tmp_path / "run/member-0/final.safetensors").exists()


def test_a_bundle_of_fewer_stages_than_the_recipe_has_is_told_from_one_of_others(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run / "run", tmp_path / "other")
    made = bundle.load_manifest(tmp_path / "other/bundle")[0]
    bundle.write_manifest(
        tmp_path / "other/bundle", replace(made, training={**made.training, "epochs": 7})
    )
    places = ["--from", str(tmp_path / "other/bundle"), "--only", "0"]

    (tmp_path / "data").symlink_to(run / "data")
    (tmp_path / "drawn.yaml").symlink_to(run / "drawn.yaml")

    assert command(tmp_path, "fit", "--smoke", *places) == 2

    said = capsys.readouterr().err
    assert "trained for 7 epochs" in said
    assert "they end after [1]" in said
