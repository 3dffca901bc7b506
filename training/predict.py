"""What the trained networks say of photos, computed as the worker computes it.

The weights are rounded first, as a bundle stores them; photos are squared, viewed
and activated by the worker's own functions. Results are kept in the run folder, by the weights that
gave them and by what they were shown.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch
from tqdm import tqdm

from inference_worker import ensemble, openvino_cache, storage, tensors, views
from inference_worker.openvino_engine import OpenVinoNetwork
from training import cache, checkpoint, networks
from training.loop import FINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from inference_worker.architectures import Classifier
    from inference_worker.manifest import Input
    from inference_worker.storage import Storage
    from training.dataset import Labelled
    from training.fit import Run
    from training.readers import Record

    Ask: TypeAlias = Callable[[Tensor], Tensor]
    """From normalised photos, n × 3 × side × side, to logits, n × outputs."""

_BATCH = 2
_PLAIN_BATCH = 32
_WORTH_CONVERTING = 64
"""Photos from which converting a network first is faster than running it as it stands."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """One member's opinions of the photos `rows` (n), before calibration.

    `probabilities` float32 n × views × classes, the views as `views.plan` orders them.
    """

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def mean(self, weights: Sequence[int]) -> NDArray[np.float64]:
        """Return the mean over the views, n × classes."""
        averaged: NDArray[np.float64] = np.average(
            self.probabilities.astype(np.float64), axis=1, weights=weights
        )
        return averaged

    def of(self, rows: NDArray[np.int64]) -> Predictions:
        """Return the opinions of `rows`, in their order."""
        at = {int(row): i for i, row in enumerate(self.rows)}
        return Predictions(rows, self.probabilities[[at[int(row)] for row in rows]])


def member(run: Run, own: Labelled, fold: int) -> Predictions:
    """Return member `fold`'s opinions of its own held-out fold and of the test part."""
    rows = np.array([*own.split.of(fold), *own.split.test], np.int64)
    return _kept(run, fold, f"member-{fold}", own.records, rows)


def elsewhere(run: Run, fold: int, records: Sequence[Record]) -> Predictions:
    """Return member `fold`'s opinions of photos of another data set."""
    name = f"member-{fold}-{records[0].source.replace('/', '-')}"
    return _kept(run, fold, name, records, np.arange(len(records)))


def _kept(
    run: Run, fold: int, name: str, records: Sequence[Record], rows: NDArray[np.int64]
) -> Predictions:
    """Return opinions of the `rows` of `records`, from the run folder once they are there."""
    key = _key(run, fold, records, rows)
    path = run.out / "predictions" / f"{name}-{run.precision}-{key}.npz"
    if not path.exists():
        model = load_member(run, fold)
        found = classify(model, photos(run, records), rows, run, label=f"member-{fold} looks")
        save(path, rows=rows, probabilities=found)
    with np.load(path, allow_pickle=False) as stored:
        return Predictions(stored["rows"], stored["probabilities"])


def _key(run: Run, fold: int, records: Sequence[Record], rows: NDArray[np.int64]) -> str:
    """Return what tells opinions from others: weights, photos, and how these are looked at."""
    recipe = run.recipe
    how = {
        "weights": _sha256(run.member(fold) / FINAL),
        "network": asdict(recipe.network(fold).classifier),
        "storage": recipe.storage,
        "activation": recipe.activation,
        "input": asdict(recipe.input),
        "views": recipe.views,
        "steps": recipe.steps,
        "precision": run.precision,
        "device": run.device.type,
        "photos": [f"{record.source}/{record.path}" for record in records],
        "rows": rows.tolist(),
    }
    return hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def photos(run: Run, records: Sequence[Record]) -> NDArray[np.uint8]:
    """Return photos exactly as the members see them when serving."""
    return cache.photos(
        records,
        data=run.data,
        cache=run.cache,
        size=run.recipe.input.size,
        steps=run.recipe.steps,
        via=run.recipe.input.via,
    )


def load_member(run: Run, fold: int) -> Classifier:
    """Return a trained member with the weights that its bundle will hold."""
    model = networks.classifier(run.recipe.network(fold).classifier, len(run.recipe.outputs), None)
    _restore(model, run.member(fold) / FINAL, run.recipe.storage, run.device)
    return model


def load_segmenter(run: Run) -> nn.Module:
    """Return the trained segmenter with the weights that its bundle will hold."""
    if run.recipe.segmenter is None:
        raise ValueError(f"the recipe {run.recipe.name!r} has no segmenter")
    model = networks.segmenter(run.recipe.segmenter.architecture, None)
    _restore(model, run.segmenter / FINAL, "half", run.device)
    return model


def ready(
    model: Classifier,
    run: Run,
    photos: int,
    precision: Literal["float32", "bfloat16"] | None = None,
) -> Ask:
    """Return the model as the worker runs it on this device, in `precision` (the run's).

    As it stands for a few `photos`, for which to convert it takes longer than to run it.
    """
    if run.device.type != "cpu" or photos < _WORTH_CONVERTING:
        return model
    converted = openvino_cache.convert(model, run.recipe.input.size, "the member")
    network = OpenVinoNetwork(converted, precision or run.precision, torch.get_num_threads())
    return lambda x: network.run(x)[0]


@torch.inference_mode()
def classify(
    model: Classifier, pixels: NDArray[np.uint8], rows: NDArray[np.int64], run: Run, *, label: str
) -> NDArray[np.float32]:
    """Return probabilities n × views × classes of the `rows` of `pixels`."""
    plan = views.plan(run.recipe.views)
    ask = ready(model, run, len(rows))
    found = []
    for start in tqdm(range(0, len(rows), _BATCH), desc=label, unit="batch", mininterval=10):
        part = rows[start : start + _BATCH]
        batches = [
            views.batch(tensors.to_tensor(pixels[i], run.recipe.input, run.device), plan.names)
            for i in part
        ]
        logits = ask(torch.cat(batches)).double().cpu().numpy()
        p = ensemble.activate(logits, run.recipe.activation)
        found.append(p.reshape(len(part), len(plan.names), -1).astype(np.float32))
    return np.concatenate(found)


@torch.inference_mode()
def plain(ask: Ask, squares: NDArray[np.uint8], run: Run) -> NDArray[np.float64]:
    """Return what the member that `ask` asks says of photos as they stand, n × columns."""
    how = run.recipe.input
    found = [
        ask(_stack(squares[start : start + _PLAIN_BATCH], how, run.device)).double().cpu().numpy()
        for start in range(0, len(squares), _PLAIN_BATCH)
    ]
    return ensemble.activate(np.concatenate(found), run.recipe.activation)


@torch.inference_mode()
def pooled(
    model: Classifier, pixels: NDArray[np.uint8], how: Input, device: torch.device
) -> NDArray[np.float64]:
    """Return the pooled features of the identity view, n × channels."""
    found = []
    for start in range(0, len(pixels), _PLAIN_BATCH):
        x = _stack(pixels[start : start + _PLAIN_BATCH], how, device)
        found.append(model.forward_pooled(model.forward_features(x)).double().cpu().numpy())
    return np.concatenate(found)


@torch.inference_mode()
def segment(
    model: nn.Module, pixels: NDArray[np.uint8], how: Input, device: torch.device
) -> NDArray[np.float32]:
    """Return the probability of lesion per pixel, n × size × size."""
    found = []
    for start in range(0, len(pixels), _PLAIN_BATCH):
        x = _stack(pixels[start : start + _PLAIN_BATCH], how, device)
        found.append(model(x).float().sigmoid()[:, 0].cpu().numpy())
    return np.concatenate(found)


def save(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Write arrays to an .npz file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp.npz")
    np.savez(unfinished, **arrays)  # type: ignore[arg-type]
    unfinished.replace(path)


def _stack(pixels: NDArray[np.uint8], how: Input, device: torch.device) -> Tensor:
    stacked = torch.stack([tensors.to_tensor(photo, how, device) for photo in pixels])
    return stacked.contiguous()


def _restore(model: nn.Module, path: Path, kept_as: Storage, device: torch.device) -> None:
    checkpoint.load_weights(path, model)
    model.load_state_dict(storage.unpack(storage.pack(model.state_dict(), kept_as)))
    model.to(device).eval()
