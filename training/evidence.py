"""A bundle's figures for machines (JSON, CSV), for eyes (SVG) and for readers (Markdown)."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from training import gate, model_card, model_facts, plots, tables

if TYPE_CHECKING:
    from pathlib import Path

    from inference_worker.manifest import Manifest
    from training.evaluate import Cases


def write(manifest: Manifest, folder: Path) -> None:
    """Write figures, tables and pictures into `folder`; card and facts label beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(manifest.metrics, indent=1, ensure_ascii=False)
    (folder / "metrics.json").write_text(text + "\n")
    tables.write(manifest, folder)
    plots.write(manifest.metrics["test"], folder)
    (folder.parent / "model-card.md").write_text(model_card.render(manifest, folder.name))
    (folder.parent / "model-facts.md").write_text(model_facts.render(manifest))


def completed(manifest: Manifest) -> Manifest:
    """Return a bundle's manifest with what follows from its figures and older makes lack.

    That is the intervals of the gate's shares, which its counts suffice for.
    """
    test = manifest.metrics["test"]
    rows = [gate.with_intervals(row) for row in test["gate"]]
    return replace(manifest, metrics={**manifest.metrics, "test": {**test, "gate": rows}})


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
