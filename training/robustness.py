"""How a bundle's figures hold when photos get worse, with and without each cleaning step."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from tqdm import tqdm

from inference_worker import preprocessing
from inference_worker.calibration import temper
from training import degrade, evaluate, markdown, metrics, opinions, predict
from training.readers import Source
from training.recipe import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from inference_worker.bundle import Bundle
    from inference_worker.manifest import Manifest
    from training.dataset import Labelled
    from training.fit import Run
    from training.metrics import Bootstrap, Sample
    from training.predict import Ask

    Steps: TypeAlias = Sequence[tuple[str, Mapping[str, Any]]]

KEY: Final = "robustness"
AS_SERVED: Final = "as served"
_ABOUT: Final = """\
{n} test photos, each judged as it stands, without further views. AUC with 95% intervals by
bootstrap over lesions. The columns after the change tell what another cleaning changes on the same
photos.\
"""

PHOTOS: Final = 400
"""How many test photos are judged, evenly spaced over the test part, unless told otherwise."""


def report(
    run: Run,
    own: Labelled,
    loaded: Bundle,
    photos: int = PHOTOS,
    others: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return AUCs per degradation and cleaning, with paired differences, over test photos.

    Each photo is judged as it stands, without further views: what views add is not the question.
    `others` are the cleaning steps to judge the lack or the addition of, all of them by default:
    each costs as much time as the photos as served do. What is judged is kept in the run's folder:
    a second call goes on where the first was killed.
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
    cleanings = cleanings_of(run.recipe.steps, preprocessing.NAMES if others is None else others)
    members = [predict.ready(member, run, len(rows)) for member in loaded.members]
    p = {
        (kind, name): temper(
            _kept(run, own, loaded.manifest, members, rows, kind, steps),
            loaded.manifest.temperature,
        )
        for kind in degrade.KINDS
        for name, steps in cleanings.items()
    }
    return {
        "bundle": _name(loaded.manifest),
        "n_images": len(rows),
        "tasks": {
            task: _rows(cleanings, p, truth[task], columns[task], draws, task) for task in truth
        },
    }


def cleanings_of(
    steps: Steps, others: Sequence[str] = tuple(preprocessing.NAMES)
) -> dict[str, Steps]:
    """Return the bundle's own steps, and these without or with each of `others` by itself."""
    own = list(steps)
    found: dict[str, Steps] = {AS_SERVED: own}
    for name in others:
        if any(name == step for step, _ in own):
            found[f"without {name}"] = [one for one in own if one[0] != name]
        else:
            found[f"with {name}"] = [*own, (name, {})]
    return found


def _kept(
    run: Run,
    own: Labelled,
    described: Manifest,
    members: Sequence[Ask],
    rows: list[int],
    kind: str,
    steps: Steps,
) -> NDArray[np.float64]:
    """Return what `_judge` does, from the run's folder where it is."""
    of = json.dumps([kind, [[name, dict(how)] for name, how in steps], rows], sort_keys=True)
    name = f"{kind.replace(' ', '-')}-{hashlib.sha256(of.encode()).hexdigest()[:16]}.npz"
    path = run.out / "judged" / opinions.key(described, run, own) / name
    if not path.exists():
        told = _judge(run, own, members, rows, kind, steps)
        predict.save(path, rows=np.array(rows), probabilities=told)
    with np.load(path, allow_pickle=False) as stored:
        found: NDArray[np.float64] = stored["probabilities"]
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


def _rows(
    cleanings: Mapping[str, Steps],
    p: Mapping[tuple[str, str], NDArray[np.float64]],
    truth: NDArray[np.bool_],
    columns: list[int],
    draws: Bootstrap,
    task: str,
) -> list[dict[str, Any]]:
    """Return each degradation's AUCs: as served, and how far each other cleaning is from that."""
    judged = tqdm(p.items(), desc=f"resampling, {task}", unit="AUC")
    auc = {key: _auc(truth, one[:, columns].sum(1), draws) for key, one in judged}
    base = auc[degrade.AS_IT_COMES, AS_SERVED]
    return [
        {
            "photos": kind,
            "auc": auc[kind, AS_SERVED].figure(),
            "change": (auc[kind, AS_SERVED] - base).figure(),
            "cleaning": {
                name: (auc[kind, name] - auc[kind, AS_SERVED]).figure()
                for name in cleanings
                if name != AS_SERVED
            },
        }
        for kind in degrade.KINDS
    ]


def _auc(truth: NDArray[np.bool_], score: NDArray[np.float64], draws: Bootstrap) -> Sample:
    return draws.sample(lambda i: metrics.roc_auc(truth[i], score[i]))


def write(found: dict[str, Any], folder: Path) -> str:
    """Write robustness.json and robustness.md into `folder`; return the latter's text."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = metrics.plain(found)
    (folder / "robustness.json").write_text(json.dumps(plain, indent=1) + "\n")
    text = "# Robustness\n\n" + tables(plain) + "\n"
    (folder / "robustness.md").write_text(text)
    return text


def put(own: Manifest, path: Path) -> Manifest:
    """Return `own` with the report that `write` left in the file `path`.

    Raises `RecipeError` where there is none, or where it is another bundle's.
    """
    try:
        found = json.loads(path.read_text())
        of = found["bundle"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecipeError(
            f"{path} is no robustness report ({error}): give the robustness.json that "
            f"'python -m training robustness' wrote"
        ) from error
    name = _name(own)
    if of != name:
        raise RecipeError(f"{path} is of {of}, the bundle is {name}: measure this bundle")
    return replace(own, metrics={**own.metrics, KEY: found, metrics.READ_AGAIN: True})


def _name(of: Manifest) -> str:
    """Return what tells a bundle from others, whatever is put into its metrics later."""
    weights = hashlib.sha256("".join(m.sha256 for m in of.classifier.members).encode())
    return f"{of.name} {of.version} {weights.hexdigest()[:12]}"


def tables(found: Mapping[str, Any]) -> str:
    """Return a report in words: what it is of, and a table per task."""
    parts = [_ABOUT.format(n=found["n_images"])]
    for task, rows in found["tasks"].items():
        names = list(rows[0]["cleaning"])
        lines = [
            (
                row["photos"],
                markdown.figure(row["auc"], 3),
                markdown.figure(row["change"], 3, signed=True),
                *(markdown.figure(row["cleaning"][name], 3, signed=True) for name in names),
            )
            for row in rows
        ]
        header = (f"{task} vs rest", "AUC as served", "change", *names)
        parts.append(markdown.table(header, lines))
    return "\n\n".join(parts)
