"""The whole way from drawn photos to a bundle that the worker serves, by the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from inference_worker import bundle
from inference_worker.pipeline import Pipeline
from tests.training import drawn
from training.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit the drawn recipe at smoke size; return the folder of data, recipe and run."""
    folder = tmp_path_factory.mktemp("smoke")
    drawn.write(folder / "data")
    (folder / "drawn.yaml").write_text(drawn.RECIPE)
    assert command(folder, "fit", "--smoke") == 0
    return folder


def command(folder: Path, name: str, *more: str) -> int:
    return main(
        [
            name,
            str(folder / "drawn.yaml"),
            *("--data", str(folder / "data"), "--out", str(folder / "run"), "--threads", "1"),
            *more,
        ]
    )


def test_a_fitted_recipe_gives_a_bundle_that_the_worker_serves(run: Path) -> None:
    loaded = bundle.load(run / "run" / "bundle")
    photo, _ = drawn.lesion(999, (120, 90))

    verdict = Pipeline(loaded).run(photo, always_classify=True)

    assert len(loaded.members) == 2
    assert verdict.classification is not None
    assert sum(verdict.classification.probabilities.values()) == pytest.approx(1.0)
    assert verdict.quality.ood_limit is not None


def test_the_bundle_says_what_it_was_made_from(run: Path) -> None:
    made = bundle.load_manifest(run / "run" / "bundle")[0]
    split = list(csv.reader((run / "run" / "split.csv").open()))

    assert made.training["smoke"] is True
    assert made.training["seeds"] == [1, 2]
    assert made.metrics["test"]["n_images"] == sum(fold == "-1" for _, _, fold in split)


def test_the_evidence_is_written_for_machines_eyes_and_readers(run: Path) -> None:
    evidence = run / "run" / "evidence"
    made = bundle.load_manifest(run / "run" / "bundle")[0]

    assert json.loads((evidence / "metrics.json").read_text()) == made.metrics
    for name in ("confusion", "roc", "reliability", "risk-coverage"):
        assert (evidence / f"{name}.svg").read_text().lstrip().startswith("<?xml")
    card = (run / "run" / "model-card.md").read_text()
    assert "(evidence/roc.svg)" in card
    assert "Not a medical device" in card
    assert f"{made.metrics['test']['accuracy']['value']:.4f}" in card


def test_a_bundle_measured_again_from_disk_has_the_same_figures(run: Path, tmp_path: Path) -> None:
    folder = run / "run" / "bundle"
    paths = ["--data", str(run / "data"), "--out", str(tmp_path), "--threads", "1"]

    assert main(["evaluate", str(folder), "--recipe", str(run / "drawn.yaml"), *paths]) == 0

    again = json.loads((tmp_path / "evidence" / "metrics.json").read_text())["test"]
    exported = bundle.load_manifest(folder)[0].metrics["test"]
    assert again["n_images"] == exported["n_images"]
    assert again["malignant_auc"]["value"] == pytest.approx(exported["malignant_auc"]["value"])
    after = exported["calibration"]["after"]
    assert again["calibration"]["after"]["nll"] == pytest.approx(after["nll"], abs=1e-5)


def test_the_bundle_says_how_its_weights_and_its_temperature_were_kept(run: Path) -> None:
    made = bundle.load_manifest(run / "run" / "bundle")[0]

    assert made.metrics["sharpening"]["data"] == "isic2020"
    assert made.metrics["sharpening"]["n"] == 8
    assert 1 <= made.metrics["sharpening"]["ratio"] <= 2
    assert made.metrics["evaluated_in"] == "float32"
    weights = safetensors.torch.load_file(run / "run/bundle/member-0.safetensors")
    assert any(tensor.dtype == torch.int8 for tensor in weights.values())


def test_a_bundle_compared_with_itself_is_no_better_and_no_worse(run: Path, tmp_path: Path) -> None:
    folder = str(run / "run" / "bundle")
    recipe = ["--recipe", str(run / "drawn.yaml"), "--threads", "1"]
    paths = ["--data", str(run / "data"), "--out", str(tmp_path)]

    assert main(["compare", folder, folder, *recipe, *paths]) == 0

    found = json.loads((tmp_path / "compare.json").read_text())["figures"]
    assert found["malignant_auc"]["difference"] == {"value": 0.0, "ci": [0.0, 0.0]}
    assert "| malignant_auc |" in (tmp_path / "compare.md").read_text()


def test_a_member_on_a_split_by_image_stands_beside_the_first(run: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(run / "data")
    (tmp_path / "drawn.yaml").symlink_to(run / "drawn.yaml")
    assert command(tmp_path, "fit", "--smoke", "--by-image") == 0
    leaking = tmp_path / "run" / "bundle"
    assert bundle.load_manifest(leaking)[0].training["split"]["by"] == "image"
    places = ["--bundle", str(tmp_path / "beside"), "--evidence", str(tmp_path / "card/evidence")]

    assert command(run, "export", "--smoke", "--beside", str(leaking), *places) == 0

    told = bundle.load_manifest(tmp_path / "beside")[0].metrics["image_random"]
    assert told["members"] == 1
    assert "image-random split flatters" in (tmp_path / "card/model-card.md").read_text()


def test_a_bundle_is_not_measured_on_data_that_split_otherwise(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn.write(tmp_path / "data")
    metadata = tmp_path / "data/ham10000/metadata.csv"
    metadata.write_text(metadata.read_text().replace("HAM_0,", "HAM_1,"))
    paths = ["--data", str(tmp_path / "data"), "--out", str(tmp_path), "--threads", "1"]

    folder = run / "run" / "bundle"
    assert main(["evaluate", str(folder), "--recipe", str(run / "drawn.yaml"), *paths]) == 2

    assert "use the same data and recipe" in capsys.readouterr().err


def test_resuming_a_finished_run_changes_no_weight(run: Path) -> None:
    member = run / "run" / "member-0" / "final.safetensors"
    before = member.read_bytes()

    assert command(run, "fit", "--smoke", "--resume", "--only", "0") == 0

    assert member.read_bytes() == before


def test_one_process_can_train_a_part_alone(run: Path, tmp_path: Path) -> None:
    for name in ("data", "drawn.yaml"):
        (tmp_path / name).symlink_to(run / name)

    assert command(tmp_path, "fit", "--smoke", "--only", "1") == 0

    assert (tmp_path / "run/member-1/final.safetensors").exists()
    assert not (tmp_path / "run/member-0").exists()
    assert not (tmp_path / "run/bundle").exists()
    same = (run / "run/member-1/final.safetensors").read_bytes()
    assert (tmp_path / "run/member-1/final.safetensors").read_bytes() == same


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "no_such_recipe", "--data", "x"], "no recipe at"),
        (["fit", "{recipe}", "--data", "nowhere"], "no data set at"),
        (["evaluate", "nowhere", "--data", "x"], "cannot read bundle.json"),
    ],
)
def test_a_mistake_is_named_and_ends_with_status_2(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    filled = [argument.format(recipe=run / "drawn.yaml") for argument in arguments]

    assert main([*filled, "--out", str(tmp_path)]) == 2

    assert message in capsys.readouterr().err
