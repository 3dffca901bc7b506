"""From a finished run to a bundle: weights, what is fitted out-of-fold, the test's figures."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from inference_worker import bundle, manifest, views
from inference_worker.pipeline import Pipeline
from training import (
    calibrate,
    dataset,
    evaluate,
    fit,
    lent,
    marks,
    metrics,
    out_of_fold,
    predict,
    provenance,
    readers,
    refusals,
    served,
    storage_cost,
    youden,
)
from training.overlap import segmentation_report
from training.sharpening import Sharpening, sharpening

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from inference_worker.manifest import Manifest, Ood, Segmenter
    from training.dataset import Labelled
    from training.fit import Run
    from training.out_of_fold import OutOfFold

SEGMENTER_FILE: Final = "segmenter.safetensors"
OOD_FILE: Final = "ood.safetensors"

_OOD_PHOTOS: Final = 3000
_UNSEEN_PHOTOS: Final = 1000

MOST_SERVED_DIFFERENCE: Final = 0.02
"""By how much p(malignant) of the worker may differ from that of the evaluation."""


class ServedOtherwiseError(RuntimeError):
    """The worker says something else of the test photos than the evaluation does."""


def export(run: Run, recipe_sha256: str, folder: Path) -> Manifest:
    """Write the bundle of a finished run into `folder` and return its manifest.

    The test part is read here, once, after everything else has been fixed. Raises
    `ServedOtherwiseError`, and leaves no `bundle.json`, where the worker would say something else,
    and `OtherRecipeError` where the run's weights are of another recipe.
    """
    own = dataset.labelled(run.recipe, run.data, smoke=run.smoke)
    others = lent.lent(run.recipe, own, run.data, few=run.few)
    fit.verify(run, own, others)
    pixels = predict.photos(run, own.records)
    plan = views.plan(run.recipe.views)
    opinions = [predict.member(run, own, fold) for fold in range(len(run.recipe.seeds))]
    oof = out_of_fold.gather(own, run.recipe.labels, opinions, plan.weights)
    members = _write_members(run, folder)
    segmenter, segmentation, shares = _segmenter(run, own, folder)
    ood, ood_figures = _ood(run, own, pixels, folder)
    test = np.array(own.split.test)
    bolder = _sharpening(run, plan.weights)
    temperature = oof.temperature / (bolder.ratio if bolder else 1.0)
    cases = cases_of(run, own, np.stack([o.of(test).probabilities for o in opinions]), temperature)
    certified = out_of_fold.certify(oof, temperature)
    found = manifest.Manifest(
        schema_version=1,
        name=run.recipe.name,
        version=run.recipe.version,
        licence=run.recipe.licence,
        created=dt.datetime.now(dt.UTC).date().isoformat(),
        intended_use=run.recipe.intended_use.strip(),
        classifier=manifest.Classifier(
            architecture=run.recipe.classifier,
            members=members,
            outputs=run.recipe.outputs,
            activation=run.recipe.activation,
            class_map=run.recipe.class_map,
            input=run.recipe.input,
        ),
        preprocessing=run.recipe.preprocessing,
        views=run.recipe.views,
        temperature=temperature,
        gate=manifest.Gate("fixed", manifest.FixedGate(), certified),
        quality=refusals.quality_limits(run, own, shares),
        ood=ood,
        segmenter=segmenter,
        training={
            **provenance.record(run, own, others, recipe_sha256, oof.best_member, segmenter),
            **_youden(run, oof, temperature),
        },
        metrics=metrics.plain(
            {
                "test": evaluate.report(
                    cases,
                    best_member=oof.best_member,
                    certified=certified.threshold if certified else None,
                    rounds=evaluate.SMOKE_ROUNDS if run.smoke else evaluate.ROUNDS,
                ),
                "out_of_fold": out_of_fold.figures(oof, temperature, certified),
                "sharpening": asdict(bolder) | {"ratio": bolder.ratio} if bolder else None,
                "evaluated_in": run.precision,
                "segmentation": segmentation,
                "ood": ood_figures,
                "storage": storage_cost.report(run, own, pixels),
            }
        ),
    )
    bundle.write_manifest(folder, found)
    found = replace(found, metrics={**found.metrics, **_as_served(run, own, folder, cases)})
    bundle.write_manifest(folder, found)
    return found


def _as_served(run: Run, own: Labelled, folder: Path, cases: evaluate.Cases) -> dict[str, Any]:
    """Return what the worker makes of the written bundle. Raises `ServedOtherwiseError`."""
    difference = served.largest_difference(run, folder, cases)
    if difference > MOST_SERVED_DIFFERENCE:
        (folder / bundle.MANIFEST).unlink()
        raise ServedOtherwiseError(
            f"the worker's p(malignant) differs by up to {difference:.3f} from the evaluation's, "
            f"over the {MOST_SERVED_DIFFERENCE} allowed: no figure would hold of what is served. "
            f"Empty {run.out / 'predictions'} and export again, with --precision float32"
        )
    refused = refusals.served(Pipeline(bundle.load(folder)), run, own)
    return {"served_max_difference_of_p": difference, "refusals": refused}


def _youden(run: Run, oof: OutOfFold, temperature: float) -> dict[str, Any]:
    """Return the threshold of a recipe that says yes or no; one of many classes needs none."""
    if run.recipe.activation != "sigmoid":
        return {}
    return {"youden": youden.threshold(oof.malignant, oof.p_malignant(temperature))}


def _sharpening(run: Run, weights: tuple[int, ...]) -> Sharpening | None:
    """Return by how much the ensemble may be bolder than a member; None without unseen photos."""
    unseen, melanoma = run.recipe.sharpened_by, run.recipe.labels.class_map.melanoma
    if unseen is None or melanoma is None:
        return None
    records = readers.read(run.data, unseen)
    count = dataset.SMOKE_PHOTOS if run.smoke else _UNSEEN_PHOTOS
    records = records[:: max(1, len(records) // count)][:count]
    truth = np.array([record.melanoma is True for record in records])
    p = [
        predict.elsewhere(run, fold, records).mean(weights)[:, list(melanoma)].sum(1)
        for fold in range(len(run.recipe.seeds))
    ]
    return sharpening(unseen, truth, np.stack(p))


def cases_of(
    run: Run, own: Labelled, probabilities: NDArray[np.float32], temperature: float
) -> evaluate.Cases:
    """Return the test part with what the members said of it, members × n × views × columns."""
    known = run.recipe.labels
    prior = np.bincount(own.labels[own.split.development], minlength=len(known.columns)) + 1.0
    test = own.split.test
    records = [own.records[i] for i in test]
    return evaluate.Cases(
        records=records,
        known=known,
        labels=own.labels[np.array(test)],
        probabilities=probabilities,
        weights=views.plan(run.recipe.views).weights,
        temperature=temperature,
        prior=prior / prior.sum(),
        marks=marks.look(records, run.data),
    )


def _write_members(run: Run, folder: Path) -> tuple[manifest.Member, ...]:
    members = []
    for fold, seed in enumerate(run.recipe.seeds):
        weights = predict.load_member(run, fold).state_dict()
        pinned = bundle.write_weights(
            folder, f"member-{fold}.safetensors", weights, kept_as=run.recipe.storage
        )
        own = run.recipe.network(fold).classifier
        architecture = None if own == run.recipe.classifier else own
        members.append(manifest.Member(pinned.file, pinned.sha256, seed, architecture))
    return tuple(members)


def _segmenter(
    run: Run, own: Labelled, folder: Path
) -> tuple[Segmenter | None, dict[str, Any], NDArray[np.float64]]:
    """Write the segmenter; return it, its figures and the lesion shares of development photos."""
    spec = run.recipe.segmenter
    if spec is None:
        return None, {}, np.zeros(0)
    model = predict.load_segmenter(run)
    pinned = bundle.write_weights(folder, SEGMENTER_FILE, model.state_dict())
    figures, shares = segmentation_report(run, own, model, spec)
    segmenter = manifest.Segmenter(
        pinned.file, pinned.sha256, spec.architecture, spec.input, spec.threshold
    )
    return segmenter, figures, shares


def _ood(
    run: Run, own: Labelled, pixels: NDArray[np.uint8], folder: Path
) -> tuple[Ood, dict[str, Any]]:
    """Fit the out-of-distribution check on member 0's own folds, its limit on the one left out."""
    model = predict.load_member(run, 0)
    how, device = run.recipe.input, run.device
    rows = own.split.train(0)
    some = rows[:: max(1, len(rows) // _OOD_PHOTOS)]
    trained = predict.pooled(model, pixels[some], how, device)
    statistics = calibrate.ood_statistics(trained)
    held_out = predict.pooled(model, pixels[own.split.of(0)], how, device)
    limit = float(np.quantile(calibrate.distances(statistics, held_out), calibrate.OOD_QUANTILE))
    tensors = {
        "mean": torch.from_numpy(statistics.mean),
        "components": torch.from_numpy(statistics.components),
        "variance": torch.from_numpy(statistics.variance),
        "residual_variance": torch.tensor([statistics.residual_variance]),
    }
    single = {name: tensor.float() for name, tensor in tensors.items()}
    pinned = bundle.write_weights(folder, OOD_FILE, single, kept_as="float32")
    figures = refusals.ood_report(run, own, model, statistics, limit, pixels)
    return manifest.Ood("mahalanobis", pinned.file, pinned.sha256, limit), figures
