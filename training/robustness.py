"""How a bundle's figures hold when photos get worse, with and without each cleaning step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from tqdm import tqdm

from inference_worker import preprocessing
from inference_worker.calibration import temper
from training import degrade, evaluate, metrics, predict
from training.readers import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from inference_worker.bundle import Bundle
    from training.dataset import Labelled
    from training.fit import Run
    from training.metrics import Bootstrap, Sample
    from training.predict import Ask

    Steps: TypeAlias = Sequence[tuple[str, Mapping[str, Any]]]

AS_SERVED: Final = "as served"
_ABOUT: Final = """\
{n} test photos, each judged as it stands, without further views. AUC with 95% intervals by
bootstrap over lesions. The columns after the change tell what another cleaning changes on the same
photos.\
"""

PHOTOS: Final = 400
"""How many test photos are judged, evenly spaced over the test part, unless told otherwise."""


def report(run: Run, own: Labelled, loaded: Bundle, photos: int = PHOTOS) -> dict[str, Any]:
    """Return AUCs per degradation and cleaning, with paired differences, over test photos.

    Each photo is judged as it stands, without further views: what views add is not the question.
    """
    rows = own.split.test
    rows = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, photos).round().astype(int))]
    known = run.recipe.labels
    truth = {"malignant": np.isin(own.labels[rows], known.class_map.malignant)}
    columns = {"malignant": list(known.class_map.malignant)}
    if known.class_map.melanoma:
        truth["melanoma"] = np.isin(own.labels[rows], known.class_map.melanoma)
        columns["melanoma"] = list(known.class_map.melanoma)
    rounds = evaluate.SMOKE_ROUNDS if run.smoke else evaluate.ROUNDS
    draws = metrics.bootstrap(own.lesions(rows), rounds, evaluate.SEED)
    cleanings = cleanings_of(run.recipe.steps)
    members = [predict.ready(member, run, len(rows)) for member in loaded.members]
    p = {
        (kind, name): temper(
            _judge(run, own, members, rows, kind, steps), loaded.manifest.temperature
        )
        for kind in degrade.KINDS
        for name, steps in cleanings.items()
    }
    return {
        "n_images": len(rows),
        "tasks": {
            task: [
                _row(kind, cleanings, p, truth[task], columns[task], draws)
                for kind in degrade.KINDS
            ]
            for task in truth
        },
    }


def cleanings_of(steps: Steps) -> dict[str, Steps]:
    """Return the bundle's own steps, these without each of them, and with each that is absent."""
    own = list(steps)
    found: dict[str, Steps] = {AS_SERVED: own}
    for name in preprocessing.NAMES:
        if any(name == step for step, _ in own):
            found[f"without {name}"] = [one for one in own if one[0] != name]
        else:
            found[f"with {name}"] = [*own, (name, {})]
    return found


def _judge(
    run: Run, own: Labelled, members: Sequence[Ask], rows: list[int], kind: str, steps: Steps
) -> NDArray[np.float64]:
    """Return the mean of the members, n × columns, of photos as they stand."""
    how = run.recipe.input
    sources = {name: Source(run.data, name) for name in {own.records[i].source for i in rows}}
    squares = np.empty((len(rows), how.size, how.size, 3), np.uint8)
    for at, row in enumerate(tqdm(rows, desc=f"{kind}", unit="photo", mininterval=10)):
        record = own.records[row]
        worse = degrade.degrade(kind, sources[record.source].pixels(record.path), seed=row)
        cleaned = preprocessing.apply(worse, steps)
        squares[at] = preprocessing.to_square(cleaned, how.size, via=how.via)
    mean: NDArray[np.float64] = np.mean(
        [predict.plain(ask, squares, run) for ask in members], axis=0
    )
    return mean


def _row(
    kind: str,
    cleanings: Mapping[str, Steps],
    p: Mapping[tuple[str, str], NDArray[np.float64]],
    truth: NDArray[np.bool_],
    columns: list[int],
    draws: Bootstrap,
) -> dict[str, Any]:
    """Return one degradation's AUCs: as served, and how far each other cleaning is from that."""
    score = {name: p[kind, name][:, columns].sum(1) for name in cleanings}
    base = p[degrade.AS_IT_COMES, AS_SERVED][:, columns].sum(1)
    auc = {name: _auc(truth, one, draws) for name, one in score.items()}
    served = auc.pop(AS_SERVED)
    return {
        "photos": kind,
        "auc": served.figure(),
        "change": (served - _auc(truth, base, draws)).figure(),
        "cleaning": {name: (other - served).figure() for name, other in auc.items()},
    }


def _auc(truth: NDArray[np.bool_], score: NDArray[np.float64], draws: Bootstrap) -> Sample:
    return draws.sample(lambda i: metrics.roc_auc(truth[i], score[i]))


def write(found: dict[str, Any], folder: Path) -> str:
    """Write robustness.json and robustness.md into `folder`; return the latter's text."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = metrics.plain(found)
    (folder / "robustness.json").write_text(json.dumps(plain, indent=1) + "\n")
    parts = [
        "# Robustness",
        _ABOUT.format(n=plain["n_images"]),
    ]
    for task, rows in plain["tasks"].items():
        names = list(rows[0]["cleaning"])
        header = ["photos", "AUC as served", "change", *names]
        lines = [
            [
                row["photos"],
                metrics.told(row["auc"], 3),
                metrics.told(row["change"], 3, signed=True),
                *(metrics.told(row["cleaning"][name], 3, signed=True) for name in names),
            ]
            for row in rows
        ]
        table = [header, ["---"] * len(header), *lines]
        parts.append(f"## {task.capitalize()} vs rest")
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in table))
    text = "\n\n".join(parts) + "\n"
    (folder / "robustness.md").write_text(text)
    return text
