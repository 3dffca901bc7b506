"""The command line on drawn data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def command(folder: Path, name: str, *more: str) -> int:
    """Run a subcommand with the recipe, the data and the run of `folder`; return its status."""
    return main(
        [
            name,
            str(folder / "drawn.yaml"),
            *("--data", str(folder / "data"), "--out", str(folder / "run"), "--threads", "1"),
            *more,
        ]
    )
