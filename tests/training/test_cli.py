"""The whole way from drawn photos to a bundle that the worker serves, by the command line."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from inference_worker import bundle, engine_options
from inference_worker.manifest import Manifest
from inference_worker.pipeline import Pipeline
from tests.training import drawn
from tests.training.smoke import command
from training import export, impostors
from training.cli import main


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
    assert "Refused:" in card
    assert set(made.metrics["segmentation"]["isic2018_task1"]["dice"]) == {
        "mean",
        "median",
        "p5",
        "ci",
    }


def test_a_bundle_measured_again_from_disk_has_the_same_figures(run: Path, tmp_path: Path) -> None:
    folder = run / "run" / "bundle"
    paths = ["--data", str(run / "data"), "--out", str(tmp_path), "--threads", "1"]

    assert main(["evaluate", str(folder), "--recipe", str(run / "drawn.yaml"), *paths]) == 0

    again = json.loads((tmp_path / "evidence" / "metrics.json").read_text())["test"]
    exported = bundle.load_manifest(folder)[0].metrics["test"]
    assert again["n_images"] == exported["n_images"]
    assert again["malignant_auc"]["value"] == pytest.approx(exported["malignant_auc"]["value"])
    after = exported["calibration"]["after"]
    nll = again["calibration"]["after"]["nll"]["value"]
    assert nll == pytest.approx(after["nll"]["value"], abs=1e-5)


def test_outlines_and_refusals_are_measured_again_where_that_is_asked_for(
    run: Path, tmp_path: Path
) -> None:
    made = bundle.load_manifest(run / "run" / "bundle")[0]
    shutil.copytree(run / "run" / "bundle", tmp_path / "bundle")
    without = {"segmentation": {}, "refusals": None, "ood": None}
    bundle.write_manifest(tmp_path / "bundle", replace(made, metrics={**made.metrics, **without}))
    recipe = ["--recipe", str(run / "drawn.yaml"), "--threads", "1"]
    paths = ["--data", str(run / "data"), "--out", str(tmp_path)]

    assert main(["evaluate", str(tmp_path / "bundle"), "--limits", *recipe, *paths]) == 0

    again = json.loads((tmp_path / "evidence" / "metrics.json").read_text())
    assert again["refusals"] == made.metrics["refusals"]
    assert again["ood"]["limit"] == made.metrics["ood"]["limit"]
    for name, exported in made.metrics["segmentation"].items():
        figures = again["segmentation"][name]
        assert figures["n_images"] == exported["n_images"]
        assert figures["dice"]["mean"] == pytest.approx(exported["dice"]["mean"], abs=1e-3)


def test_the_bundle_says_how_its_weights_and_its_temperature_were_kept(run: Path) -> None:
    made = bundle.load_manifest(run / "run" / "bundle")[0]

    assert made.metrics["sharpening"]["data"] == "isic2020"
    assert made.metrics["sharpening"]["n"] == 8
    assert 1 <= made.metrics["sharpening"]["ratio"] <= 2
    assert made.metrics["evaluated_in"] == "float32"
    weights = safetensors.torch.load_file(run / "run/bundle/member-0.safetensors")
    assert any(tensor.dtype == torch.int8 for tensor in weights.values())
    assert made.metrics["storage"]["kept_as"] == "int8"
    assert 0 < made.metrics["storage"]["max_change_of_p"] < 0.1
    assert "kept as int8" in (run / "run" / "model-card.md").read_text()


@pytest.mark.parametrize(
    ("was", "becomes", "whose"),
    [
        # At smoke size every stage has one epoch: a second stage is another schedule.
        ("16}]}\nsegmenter", "16}, {size: 64, epochs: 1}]}\nsegmenter", "member-0"),
        ("seeds: [1, 2]", "seeds: [1, 3]", "member-1"),
        ("held_out: 0.5", "held_out: 0.5\n  dice_weight: 0.3", "segmenter"),
    ],
)
def test_weights_of_another_recipe_are_not_exported(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    was: str,
    becomes: str,
    whose: str,
) -> None:
    (tmp_path / "data").symlink_to(run / "data")
    (tmp_path / "run").symlink_to(run / "run")
    assert was in drawn.RECIPE
    (tmp_path / "drawn.yaml").write_text(drawn.RECIPE.replace(was, becomes))
    places = ["--smoke", "--bundle", str(tmp_path / "bundle")]

    assert command(tmp_path, "export", *places) == 2

    said = capsys.readouterr().err
    assert f"{whose}/final.safetensors was made by another recipe" in said
    assert not (tmp_path / "bundle").exists()


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
    shutil.copytree(run / "run" / "bundle", tmp_path / "beside")
    places = ["--beside", str(leaking), "--evidence", str(tmp_path / "card/evidence")]

    assert main(["card", str(tmp_path / "beside"), *places]) == 0

    told = bundle.load_manifest(tmp_path / "beside")[0].metrics["image_random"]
    assert told["members"] == 1
    assert set(told["by_lesion"]["balanced_accuracy"]) == {"value", "ci"}
    assert "image-random split flatters" in (tmp_path / "card/model-card.md").read_text()
    own = (tmp_path / "run/model-card.md").read_text()
    assert "photos of one lesion stand on both sides" in own
    assert "no lesion stands on two sides" not in own

    recipe = ["--recipe", str(tmp_path / "drawn.yaml"), "--threads", "1"]
    places = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "again")]
    assert main(["evaluate", str(leaking), *recipe, *places]) == 0
    assert "Split photo by photo" in (tmp_path / "again/model-card.md").read_text()


def recertify(run: Path, folder: Path, out: Path, *more: str) -> Manifest:
    recipe = ["--recipe", str(run / "drawn.yaml"), "--threads", "1"]
    paths = ["--data", str(run / "data"), "--out", str(out)]
    assert main(["recertify", str(folder), *recipe, *paths, *more]) == 0
    return bundle.load_manifest(folder)[0]


def test_a_gate_is_certified_anew_as_it_was_at_export(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "run" / "bundle", tmp_path / "bundle")
    exported = bundle.load_manifest(run / "run" / "bundle")[0]

    again = recertify(run, tmp_path / "bundle", tmp_path / "out", "--test")

    was, found = exported.metrics["out_of_fold"], again.metrics["out_of_fold"]
    assert found["temperature"] == pytest.approx(was["temperature"], rel=1e-3)
    assert found["served_temperature"] == exported.temperature
    assert found["gate"] == was["gate"]
    assert again.gate == exported.gate
    assert again.metrics["segmentation"].keys() == exported.metrics["segmentation"].keys()
    assert again.metrics["refusals"] == exported.metrics["refusals"]
    assert again.metrics["ood"]["impostors_refused"].keys() == set(impostors.KINDS)
    assert (tmp_path / "out/model-card.md").exists()


def test_what_a_killed_certification_had_judged_is_not_judged_again(
    run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run / "run" / "bundle", tmp_path / "bundle")
    first = recertify(run, tmp_path / "bundle", tmp_path / "out").metrics["out_of_fold"]
    kept = sorted((tmp_path / "out" / "opinions").rglob("member-0-*.npz"))
    with np.load(kept[0]) as stored:
        rows, told = stored["rows"], stored["probabilities"]
    even = np.full_like(told, 1 / told.shape[-1])
    np.savez(kept[0], rows=rows, probabilities=even)

    again = recertify(run, tmp_path / "bundle", tmp_path / "out").metrics["out_of_fold"]

    assert len(kept) == 1
    assert again["malignant_auc"] != first["malignant_auc"]


def test_a_bundle_that_is_served_otherwise_than_measured_is_not_exported(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_SERVED_DIFFERENCE", -1.0)

    assert command(run, "export", "--smoke", "--bundle", str(tmp_path / "bundle")) == 2

    assert "no figure would hold of what is served" in capsys.readouterr().err
    assert (tmp_path / "bundle" / "member-0.safetensors").exists()
    assert not (tmp_path / "bundle" / "bundle.json").exists()


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


def test_a_run_is_not_gone_on_with_by_another_recipe(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text((run / "drawn.yaml").read_text().replace("crop_share: 0.2", "crop_share: 0.3"))
    places = ["--data", str(run / "data"), "--out", str(run / "run"), "--threads", "1"]

    assert main(["fit", str(other), "--smoke", "--resume", "--only", "0", *places]) == 2

    assert "was made by another recipe or other data" in capsys.readouterr().err


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


def test_a_cpu_that_would_imitate_bfloat16_is_not_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(engine_options, "cpu_multiplies_bfloat16", lambda: False)
    with pytest.raises(SystemExit) as ended:
        command(tmp_path, "export", "--precision", "bfloat16")
    assert ended.value.code == 2
    assert "no instructions for bfloat16" in capsys.readouterr().err
    monkeypatch.setattr(engine_options, "cpu_multiplies_bfloat16", lambda: True)
    assert command(tmp_path, "export", "--precision", "bfloat16") == 2
    assert "drawn.yaml" in capsys.readouterr().err  # it went on to the recipe, which is not there


MLP = """
name: hidden
version: 0.0.1
licence: Apache-2.0
intended_use: tests
classifier:
  name: mobilenetv2_050
  head: mlp
  hidden: [12, 8]
  hidden_dropout: [0.5, 0.4]
  dropout: 0.3
outputs: [benign, malignant]
targets: {benign: [bkl, df, nv, vasc], malignant: [akiec, bcc, mel]}
activation: softmax
class_map: {malignant: [malignant]}
input: {size: 64}
cache_size: 64
views: [identity]
seeds: [1]
split: {folds: 2}
schedule:
  stages:
    - {size: 64, epochs: 1, train: head, lr: 0.001}
    - {size: 64, epochs: 1, trunk_lr: [0.0001]}
"""


def test_a_head_with_hidden_layers_is_fitted_exported_and_served(run: Path, tmp_path: Path) -> None:
    """As `convnext_base_faithful` has, which is too large to be fitted at each push."""
    (tmp_path / "data").symlink_to(run / "data")
    (tmp_path / "drawn.yaml").write_text(MLP)

    assert command(tmp_path, "fit", "--smoke") == 0

    loaded = bundle.load(tmp_path / "run" / "bundle")
    spec = loaded.manifest.classifier.architecture
    assert (spec.head, spec.hidden) == ("mlp", (12, 8))
    trained = safetensors.torch.load_file(tmp_path / "run" / "member-0" / "final.safetensors")
    served = loaded.members[0].state_dict()
    hidden = [name for name, tensor in trained.items() if tensor.shape[:1] in {(12,), (8,)}]
    assert any("head" in name for name in hidden)
    for name in trained:
        assert torch.allclose(trained[name].float(), served[name].float(), rtol=2e-3, atol=1e-4)
    verdict = Pipeline(loaded).run(drawn.lesion(999, (120, 90))[0], always_classify=True)
    assert verdict.classification is not None
    assert 0 < verdict.classification.p_malignant < 1
