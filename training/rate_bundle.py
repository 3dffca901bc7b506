"""Measure a bundle as it stands on disk, on the test part that its own recipe set aside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from inference_worker import bundle
from training import dataset, evaluate, export, metrics, opinions
from training import recipe as recipes
from training.fit import Run

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from inference_worker.manifest import Manifest
    from training.dataset import Labelled


class OtherSplitError(recipes.RecipeError):
    """The data at hand do not split as they did when the bundle was made."""


def open_bundle(
    folder: Path,
    data: Path,
    out: Path,
    device: torch.device,
    recipe_name: str | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
) -> tuple[bundle.Bundle, Run, Labelled]:
    """Return the bundle, the run that it is measured as, and its data; `out` keeps decoded photos.

    `recipe_name` is a name or a file, by default the name of the recipe that the bundle says.
    `precision` in which its networks judge on a CPU.
    Raises `BundleError`, `RecipeError`, `DataError`, and `OtherSplitError` where the split differs
    from the one pinned in the bundle, so that a photo trained on could be tested on.
    """
    loaded = bundle.load(folder, device=device)
    described = loaded.manifest
    training: dict[str, Any] = described.training
    recipe, _ = recipes.load(recipe_name or str(training.get("recipe", described.name)))
    smoke = bool(training.get("smoke"))
    if (training.get("split") or {}).get("by") == "image" and recipe.split.by != "image":
        recipe = recipes.by_image(recipe)
    recipe = recipes.smoke(recipe) if smoke else recipe
    recipe = replace(
        recipe,
        input=described.classifier.input,
        views=described.views,
        preprocessing=described.preprocessing,
    )
    run = Run(recipe, data, out, device, smoke=smoke, precision=precision)
    own = dataset.labelled(recipe, data, smoke=smoke)
    if own.split.sha256 != training.get("data_manifest_sha256"):
        raise OtherSplitError(
            f"the data in {data} split into {own.split.sha256[:12]}…, the bundle was made from "
            f"{str(training.get('data_manifest_sha256'))[:12]}…: use the same data and recipe"
        )
    return loaded, run, own


def judge(loaded: bundle.Bundle, run: Run, own: Labelled) -> evaluate.Cases:
    """Return what the bundle says of its test part.

    The opinions are kept in the run's folder: a second call goes on where the first was killed.
    """
    told = opinions.of_test(loaded, run, own)
    return export.cases_of(run, own, told, loaded.manifest.temperature)


def report(described: Manifest, cases: evaluate.Cases, precision: str) -> Manifest:
    """Return the manifest with the test figures that `cases`, judged in `precision`, give.

    How far the worker was from the export's engine is not said of other figures than the export's.
    """
    training: dict[str, Any] = described.training
    smoke = bool(training.get("smoke"))
    controlled = described.gate.risk_controlled
    found = evaluate.report(
        cases,
        best_member=int(training.get("best_member", 0)),
        certified=controlled.threshold if controlled else None,
        rounds=evaluate.SMOKE_ROUNDS if smoke else evaluate.ROUNDS,
    )
    kept = {k: v for k, v in described.metrics.items() if k != "served_max_difference_of_p"}
    test = {"test": metrics.plain(found), "evaluated_in": precision}
    return replace(described, metrics=kept | test)
