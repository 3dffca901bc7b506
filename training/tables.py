"""A bundle's figures as CSV, for machines: one row a figure, a count, or a point of a curve."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Final

from training import gate, markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from inference_worker.manifest import Manifest

_ELSEWHERE: Final = ("confusion", "curves", "gate", "subgroups", "bins")
"""Parts of the test's report that have a table of their own."""

_BESIDE_THE_TEST: Final = ("out_of_fold", "segmentation", "refusals", "ood", "image_random")


def write(manifest: Manifest, folder: Path) -> None:
    """Write every table that the figures of a bundle suffice for into `folder`."""
    metrics = manifest.metrics
    test = metrics["test"]
    seeds = [member.seed for member in manifest.classifier.members]
    members = [
        {"seed": seed, **one} for seed, one in zip(seeds, test.get("members", ()), strict=False)
    ]
    beside = {name: metrics[name] for name in _BESIDE_THE_TEST if metrics.get(name)}
    _write(
        folder / "metrics.csv",
        ("figure", "value", "ci_low", "ci_high"),
        _rows(test | {"members": members}, beside),
    )
    _write_gate(test["gate"], folder / "gate.csv")
    names = list(test["classes"])
    counted = ([name, *row] for name, row in zip(names, test["confusion"], strict=True))
    _write(folder / "confusion.csv", ("truth", *names), counted)
    _write(folder / "curves.csv", ("curve", "of", "x", "y"), _points(test))
    header = ("trait", "group", "n", "malignant", "mean_p_malignant")
    groups = (
        [trait, name, *(one[column] for column in header[2:]), *_cells(one["malignant_auc"])]
        for trait, found in (test.get("subgroups") or {}).items()
        for name, one in found.items()
    )
    _write(folder / "subgroups.csv", (*header, "malignant_auc", "ci_low", "ci_high"), groups)


def _rows(test: Mapping[str, Any], beside: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    yield from _flat("", test)
    yield from _flat("", beside)


def _flat(name: str, found: Any) -> Iterator[Sequence[object]]:
    """Yield name, value and interval of every figure in `found`, the names joined by dots."""
    if isinstance(found, list):
        found = dict(enumerate(found)) if all(isinstance(one, dict) for one in found) else {}
    if isinstance(found, int | float) and not isinstance(found, bool):
        yield [name, *_cells(found)]
    if not isinstance(found, dict):
        return
    if "value" in found:
        yield [name, *_cells(found)]
        return
    for key, inner in found.items():
        # The interval of an overlap is that of its mean.
        one = {"value": inner, "ci": found.get("ci")} if key == "mean" else inner
        if key not in _ELSEWHERE:
            yield from _flat(f"{name}.{key}" if name else str(key), one)


def _cells(found: Mapping[str, Any] | float | None) -> list[float | None]:
    """Return value and interval, empty cells where there is none."""
    ends = markdown.ends(found)
    return [*ends, *[None] * (3 - len(ends))]


def _write_gate(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the gate's table, deferred cases in columns of their own, shares with intervals."""
    flat = []
    for row in map(gate.with_intervals, rows):
        line = {k: v for k, v in row.items() if not isinstance(v, dict)}
        for truth in ("benign", "malignant"):
            line |= {f"{truth}_{k}": v for k, v in row[truth].items()}
        for name in gate.SHARES:
            low, high = row["ci"].get(name, (None, None))
            line |= {f"{name}_ci_low": low, f"{name}_ci_high": high}
        flat.append(line)
    _write(path, list(flat[0]), (list(line.values()) for line in flat))


def _points(test: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    """Yield every point of every curve: its name, whose it is, x and y."""
    curves = test.get("curves") or {}
    for task, points in (curves.get("roc") or {}).items():
        yield from (["roc", task, *point] for point in points)
    yield from (["risk_coverage", "malignant", *point] for point in curves.get("risk_coverage", ()))
    for point in curves.get("decision", ()):
        for whose in ("model", "everybody"):
            yield ["decision", whose, point["threshold"], point[whose]]
    for when in ("before", "after"):
        bins = ((test.get("calibration") or {}).get(when) or {}).get("bins", ())
        yield from (["reliability", when, mean, part] for mean, part, _ in bins)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
