"""The notebook's own cells, from top to bottom."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inference_worker import engine_options

if TYPE_CHECKING:
    from types import CodeType

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "evaluation.ipynb"


@pytest.fixture
def small(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the notebook look at the drawn recipe's bundle, and write nowhere else."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("DERMAI_BUNDLE", str(run / "run" / "bundle"))
    monkeypatch.setenv("DERMAI_RECIPE", str(run / "drawn.yaml"))
    monkeypatch.delenv("DERMAI_DATA", raising=False)
    return run


def cells() -> list[CodeType]:
    """Return the notebook's code, compiled cell by cell."""
    found = json.loads(NOTEBOOK.read_text())["cells"]
    return [
        compile("".join(cell["source"]), f"{NOTEBOOK.name}, {cell['id']}", "exec")
        for cell in found
        if cell["cell_type"] == "code"
    ]


def execute() -> dict[str, Any]:
    """Run every cell, one after the other; return the names that they leave."""
    names: dict[str, Any] = {}
    for code in cells():
        exec(code, names)  # noqa: S102 - our own notebook
    return names


def test_the_notebook_judges_the_test_part_again_and_finds_the_recorded_figures(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DERMAI_DATA", str(small / "data"))

    left = execute()

    said = capsys.readouterr().out
    assert "recorded in float32, judged again in float32" in said
    assert "malignant_auc: recorded" in said
    assert left["again"]["n_images"] == left["recorded"]["n_images"]


def test_without_the_data_the_notebook_says_that_nothing_was_checked(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = execute()

    said = capsys.readouterr().out
    assert "the recorded figures stand unchecked" in said
    assert "p(malignant):" in said
    assert "again" not in left
    assert left["folder"] == small / "run" / "bundle"


def test_a_cpu_without_bfloat16_judges_again_in_float32_and_the_notebook_says_so(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DERMAI_DATA", str(small / "data"))
    monkeypatch.setattr(engine_options, "cpu_multiplies_bfloat16", lambda: False)
    names: dict[str, Any] = {}
    first, *rest = cells()
    exec(first, names)  # noqa: S102 - our own notebook
    names["manifest"].metrics["evaluated_in"] = "bfloat16"

    for code in rest:
        exec(code, names)  # noqa: S102 - our own notebook

    assert "recorded in bfloat16, judged again in float32" in capsys.readouterr().out
