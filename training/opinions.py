"""What the members of a finished bundle say of photos, judged in parts that outlive a kill."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import numpy as np

from training import predict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference_worker.bundle import Bundle
    from inference_worker.manifest import Manifest
    from training.dataset import Labelled
    from training.fit import Run

PART: Final = 500
"""How many photos are judged between two files: about a minute on two cores."""


def out_of_fold(loaded: Bundle, run: Run, own: Labelled) -> list[predict.Predictions]:
    """Return what each member says of the fold that it left out."""
    folds = [np.array(own.split.of(fold)) for fold in range(len(loaded.members))]
    return [
        predict.Predictions(rows, _member(loaded, run, own, number, rows))
        for number, rows in enumerate(folds)
    ]


def of_test(loaded: Bundle, run: Run, own: Labelled) -> NDArray[np.float32]:
    """Return what every member says of the test part, members × n × views × columns."""
    rows = np.array(own.split.test)
    found = [_member(loaded, run, own, number, rows) for number in range(len(loaded.members))]
    return np.stack(found)


def _member(
    loaded: Bundle, run: Run, own: Labelled, number: int, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the opinions of member `number` of `rows`, from the run's folder where they are."""
    folder = run.out / "opinions" / key(loaded.manifest, run, own)
    pixels = predict.photos(run, own.records)
    found = []
    for start in range(0, len(rows), PART):
        part = rows[start : start + PART]
        path = folder / f"member-{number}-from-{part[0]}-{len(part)}.npz"
        if not path.exists():
            label = f"member-{number}, {start} of {len(rows)}"
            told = predict.classify(loaded.members[number], pixels, part, run, label=label)
            predict.save(path, rows=part, probabilities=told)
        with np.load(path, allow_pickle=False) as stored:
            found.append(stored["probabilities"])
    return np.concatenate(found)


def key(described: Manifest, run: Run, own: Labelled) -> str:
    """Return a name for all that an opinion depends on: another bundle's are never taken up."""
    classifier = described.classifier
    depends = [
        [member.sha256 for member in classifier.members],
        asdict(classifier.input),
        classifier.activation,
        described.views,
        [asdict(step) for step in described.preprocessing],
        own.split.sha256,
        run.precision,
        run.device.type,
    ]
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
