"""A bundle's figures for machines (JSON, CSV), for eyes (SVG) and for readers (Markdown)."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from training import model_card, model_facts, plots

if TYPE_CHECKING:
    from pathlib import Path

    from inference_worker.manifest import Manifest
    from training.evaluate import Cases


def write(manifest: Manifest, folder: Path) -> None:
    """Write figures, tables and pictures into `folder`; card and facts label beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(manifest.metrics, indent=1, ensure_ascii=False)
    (folder / "metrics.json").write_text(text + "\n")
    test = manifest.metrics["test"]
    _write_csv(test, folder / "metrics.csv")
    _write_gate(test["gate"], folder / "gate.csv")
    _write_subgroups(test["subgroups"], folder / "subgroups.csv")
    plots.write(test, folder)
    (folder.parent / "model-card.md").write_text(model_card.render(manifest, folder.name))
    (folder.parent / "model-facts.md").write_text(model_facts.render(manifest))


def write_cases(cases: Cases, path: Path) -> None:
    """Write what was said of each photo: one row a photo, one column an output, calibrated."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "lesion_id", "truth", *cases.known.columns])
        for record, label, p in zip(
            cases.records, cases.labels, cases.calibrated().tolist(), strict=True
        ):
            told = [f"{value:.6f}" for value in p]
            writer.writerow([record.image_id, record.lesion_id, cases.known.columns[label], *told])


def _write_csv(test: dict[str, Any], path: Path) -> None:
    """Write the figures that have an interval, one a row."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["figure", "value", "ci_low", "ci_high"])
        for name, figure in test.items():
            if isinstance(figure, dict) and "ci" in figure:
                writer.writerow([name, figure["value"], *figure["ci"]])


def _write_gate(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the gate's table, deferred cases in columns of their own."""
    flat = [
        {k: v for k, v in row.items() if not isinstance(v, dict)}
        | {f"{truth}_{k}": v for truth in ("benign", "malignant") for k, v in row[truth].items()}
        for row in rows
    ]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(flat[0]))
        writer.writeheader()
        writer.writerows(flat)


def _write_subgroups(found: dict[str, dict[str, Any]], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["trait", "group", "n", "malignant", "malignant_auc", "mean_p_malignant"])
        for trait, groups in found.items():
            for name, one in groups.items():
                writer.writerow([trait, name, *one.values()])
