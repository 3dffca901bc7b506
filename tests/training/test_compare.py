from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference_worker import manifest
from inference_worker.verdict import CLASSES
from training import compare
from training import labels as known
from training.evaluate import Cases
from training.readers import Record

ROUNDS = 20
LABELS = known.labels(CLASSES, "softmax", {}, {dx: (dx,) for dx in CLASSES})


def cases(noise: float, *, n: int = 280, first: int = 0) -> Cases:
    """Return photos of each class in turn, judged rightly but for `noise`."""
    rng = np.random.default_rng(1)
    truth = np.arange(n) % len(CLASSES)
    p = np.eye(len(CLASSES))[truth] + noise * rng.random((n, len(CLASSES)))
    p /= p.sum(1, keepdims=True)
    records = [Record(f"photo-{i}", f"lesion-{i // 2}", "drawn", "") for i in range(first, n)]
    return Cases(
        records=records,
        known=LABELS,
        labels=truth[first:],
        probabilities=p[None, first:, None].astype(np.float32),
        weights=(1,),
        temperature=1.0,
        prior=np.full(len(CLASSES), 1 / len(CLASSES)),
    )


def described(name: str) -> manifest.Manifest:
    member = manifest.Member("member-0.safetensors", "0" * 64, 1)
    return manifest.Manifest(
        schema_version=1,
        name=name,
        version="1",
        licence="",
        created="",
        intended_use="",
        classifier=manifest.Classifier(
            architecture=manifest.ClassifierSpec(),
            members=(member,),
            outputs=CLASSES,
            activation="softmax",
            class_map={dx: (dx,) for dx in CLASSES},
            input=manifest.Input(64),
        ),
        preprocessing=(),
        views=("identity",),
        temperature=1.0,
        gate=manifest.Gate(),
        quality=manifest.Quality(),
        ood=None,
        segmenter=None,
    )


def test_a_bundle_does_not_differ_from_itself() -> None:
    one = (described("a"), cases(2.0))

    found = compare.compare(one, one, ROUNDS)

    differences = [figure["difference"] for figure in found["figures"].values()]
    assert all(d["value"] == 0 and d["ci"] == [0, 0] for d in differences)


def test_a_clearly_better_bundle_differs_by_more_than_chance() -> None:
    found = compare.compare(
        (described("good"), cases(1.0)), (described("bad"), cases(12.0)), ROUNDS
    )

    low, high = found["figures"]["malignant_auc"]["difference"]["ci"]
    assert 0 < low < high
    assert found["figures"]["brier"]["difference"]["ci"][1] < 0


def test_a_paired_interval_is_narrower_than_its_two_bundles() -> None:
    """What both find hard cancels out."""
    found = compare.compare((described("a"), cases(9.0)), (described("b"), cases(9.5)), ROUNDS)

    figure = found["figures"]["malignant_auc"]
    widths = {name: figure[name]["ci"][1] - figure[name]["ci"][0] for name in figure}
    assert widths["difference"] < 0.5 * min(widths["first"], widths["second"])


def test_bundles_of_other_photos_are_not_compared() -> None:
    with pytest.raises(compare.OtherTestError, match="compare bundles of one split"):
        compare.compare((described("a"), cases(1.0)), (described("b"), cases(1.0, first=7)))


def test_the_comparison_is_written_for_machines_and_readers(tmp_path: Path) -> None:
    found = compare.compare((described("a"), cases(1.0)), (described("b"), cases(2.0)), ROUNDS)

    text = compare.write(found, tmp_path)

    assert (tmp_path / "compare.json").exists()
    assert (tmp_path / "compare.md").read_text() == text
    assert "| malignant_auc |" in text
