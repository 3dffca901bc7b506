"""From a finished run to a bundle: weights, what is fitted out-of-fold, the test's figures."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from inference_worker import bundle, manifest, views
from inference_worker.calibration import temper
from training import (
    calibrate,
    checkpoint,
    dataset,
    evaluate,
    gate,
    marks,
    metrics,
    networks,
    predict,
    provenance,
    readers,
    served,
)
from training.loop import FINAL
from training.overlap import segmentation_report
from training.refusals import ood_report, quality_limits
from training.sharpening import Sharpening, sharpening

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from inference_worker.manifest import Gate, Manifest, Ood, Segmenter
    from training.dataset import Labelled
    from training.fit import Run
    from training.labels import Labels

SEGMENTER_FILE: Final = "segmenter.safetensors"
OOD_FILE: Final = "ood.safetensors"

_ROUND_TRIP_PHOTOS: Final = 64
_SMOKE_PHOTOS: Final = 2
_OOD_PHOTOS: Final = 3000
_UNSEEN_PHOTOS: Final = 1000


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Every development photo judged by the one member that never saw its lesion.

    `p` n × classes, mean over views, uncalibrated; `rows` among the labelled photos; `members` who
    judged each; `best_member` has the highest malignancy AUC on its own fold; `temperature` is a
    single member's.
    """

    rows: NDArray[np.int64]
    members: NDArray[np.int64]
    p: NDArray[np.float64]
    labels: NDArray[np.int64]
    best_member: int
    temperature: float
    certified: manifest.RiskControlledGate | None


def export(run: Run, recipe_sha256: str, folder: Path) -> Manifest:
    """Write the bundle of a finished run into `folder` and return its manifest.

    The test part is read here, once, after everything else has been fixed.
    """
    own = dataset.labelled(run.recipe, run.data, smoke=run.smoke)
    pixels = predict.photos(run, own.records)
    plan = views.plan(run.recipe.views)
    opinions = [predict.member(run, own, fold) for fold in range(len(run.recipe.seeds))]
    known = run.recipe.labels
    oof = out_of_fold(own, known, opinions, plan.weights)
    members = _write_members(run, folder)
    segmenter, segmentation, shares = _segmenter(run, own, folder)
    ood, ood_figures = _ood(run, own, pixels, folder)
    test = np.array(own.split.test)
    bolder = _sharpening(run, plan.weights)
    temperature = oof.temperature / (bolder.ratio if bolder else 1.0)
    cases = cases_of(run, own, np.stack([o.of(test).probabilities for o in opinions]), temperature)
    certified = oof.certified.threshold if oof.certified else None
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
        gate=_gate(oof),
        quality=quality_limits(run, own, shares),
        ood=ood,
        segmenter=segmenter,
        training=provenance.record(run, own, recipe_sha256, oof.best_member),
        metrics=metrics.plain(
            {
                "test": evaluate.report(
                    cases,
                    best_member=oof.best_member,
                    certified=certified,
                    rounds=evaluate.SMOKE_ROUNDS if run.smoke else evaluate.ROUNDS,
                ),
                "out_of_fold": _out_of_fold_figures(oof, known),
                "sharpening": asdict(bolder) | {"ratio": bolder.ratio} if bolder else None,
                "evaluated_in": run.precision,
                "segmentation": segmentation,
                "ood": ood_figures,
                "storage_max_change_of_p": _storage_change(run, pixels, oof.rows),
            }
        ),
    )
    bundle.write_manifest(folder, found)
    difference = served.largest_difference(run, folder, cases)
    found = replace(found, metrics={**found.metrics, "served_max_difference_of_p": difference})
    bundle.write_manifest(folder, found)
    return found


def _sharpening(run: Run, weights: tuple[int, ...]) -> Sharpening | None:
    """Return by how much the ensemble may be bolder than a member; None without unseen photos."""
    melanoma = run.recipe.labels.class_map.melanoma
    if run.recipe.data.unseen is None or not melanoma:
        return None
    records = readers.read(run.data, run.recipe.data.unseen)
    count = dataset.SMOKE_PHOTOS if run.smoke else _UNSEEN_PHOTOS
    records = records[:: max(1, len(records) // count)][:count]
    truth = np.array([record.melanoma is True for record in records])
    p = [
        predict.elsewhere(run, fold, records).mean(weights)[:, list(melanoma)].sum(1)
        for fold in range(len(run.recipe.seeds))
    ]
    return sharpening(run.recipe.data.unseen, truth, np.stack(p))


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


def out_of_fold(
    own: Labelled,
    known: Labels,
    opinions: list[predict.Predictions],
    weights: tuple[int, ...],
) -> OutOfFold:
    """Gather each member's opinions of its own fold; fit temperature and gate on them."""
    folds = [np.array(own.split.of(fold)) for fold in range(len(opinions))]
    means = [o.of(rows).mean(weights) for o, rows in zip(opinions, folds, strict=True)]
    rows = np.concatenate(folds)
    labels = own.labels[rows]
    p = np.concatenate(means)
    malignant = list(known.class_map.malignant)
    aucs = [
        metrics.roc_auc(np.isin(own.labels[fold], malignant), mean[:, malignant].sum(1))
        for fold, mean in zip(folds, means, strict=True)
    ]
    temperature = calibrate.temperature(labels, p)
    first = first_of_each(own.lesions(rows))
    ill = np.isin(labels, malignant)
    score = temper(p, temperature)[:, malignant].sum(1)
    return OutOfFold(
        rows=rows,
        members=np.repeat(np.arange(len(folds)), [len(fold) for fold in folds]),
        p=p,
        labels=labels,
        best_member=int(np.nanargmax(aucs)) if np.isfinite(aucs).any() else 0,
        temperature=temperature,
        certified=gate.certify(ill[first], score[first]),
    )


def first_of_each(lesions: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the row of each lesion's first photo."""
    return np.sort(np.unique(lesions, return_index=True)[1])


def _gate(oof: OutOfFold) -> Gate:
    return manifest.Gate("fixed", manifest.FixedGate(), oof.certified)


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
    figures = ood_report(run, own, model, statistics, limit, pixels)
    return manifest.Ood("mahalanobis", pinned.file, pinned.sha256, limit), figures


def _storage_change(run: Run, pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> float:
    """Return the largest change of any probability that storing member 0 as a bundle does makes."""
    count = _SMOKE_PHOTOS if run.smoke else _ROUND_TRIP_PHOTOS
    some = rows[:: max(1, len(rows) // count)][:count]
    full = networks.classifier(run.recipe.network(0).classifier, len(run.recipe.outputs), None)
    checkpoint.load_weights(run.member(0) / FINAL, full)
    full.to(run.device).eval()
    both = [
        predict.classify(model, pixels, some, run, label="storage")
        for model in (full, predict.load_member(run, 0))
    ]
    return float(np.abs(both[0] - both[1]).max())


def _out_of_fold_figures(oof: OutOfFold, known: Labels) -> dict[str, Any]:
    """Return what was seen while fitting: single members, on folds that they did not train on."""
    p = temper(oof.p, oof.temperature)
    malignant, melanoma = list(known.class_map.malignant), list(known.class_map.melanoma or ())
    ill, score = np.isin(oof.labels, malignant), p[:, malignant].sum(1)
    found = {
        "n_images": len(oof.rows),
        "malignant_auc": metrics.roc_auc(ill, score),
        "ece_before": metrics.ece(ill, oof.p[:, malignant].sum(1)),
        "ece_after": metrics.ece(ill, score),
        "gate": gate.table(ill, score, manifest.FixedGate().threshold).to_dict(),
    }
    if melanoma:
        is_melanoma = np.isin(oof.labels, melanoma)
        found["melanoma_auc"] = metrics.roc_auc(is_melanoma, p[:, melanoma].sum(1))
    return found
