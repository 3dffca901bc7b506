"""A bundle's figures for machines (JSON, CSV), for eyes (SVG) and for readers (Markdown)."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from training import model_card, plots

if TYPE_CHECKING:
    from pathlib import Path

    from inference_worker.manifest import Manifest


def write(manifest: Manifest, folder: Path) -> None:
    """Write metrics.json, metrics.csv and the pictures into `folder`, model-card.md beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(manifest.metrics, indent=1, ensure_ascii=False)
    (folder / "metrics.json").write_text(text + "\n")
    _write_csv(manifest.metrics["test"], folder / "metrics.csv")
    plots.write(manifest.metrics["test"], folder)
    (folder.parent / "model-card.md").write_text(model_card.render(manifest, folder.name))


def _write_csv(test: dict[str, Any], path: Path) -> None:
    """Write the figures that have an interval, one a row."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["figure", "value", "ci_low", "ci_high"])
        for name, figure in test.items():
            if isinstance(figure, dict) and "ci" in figure:
                writer.writerow([name, figure["value"], *figure["ci"]])
