"""Who may import whom: the broad rules are contracts in pyproject.toml, the narrow ones here."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PLATFORM = ("accounts", "analyses")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("dermai", *PLATFORM, "inference_worker", "training", cache_dir=None)


def test_the_contracts_of_pyproject_hold() -> None:
    # In a process of its own: it switches off every logger that is there already.
    linter = Path(sys.executable).with_name("lint-imports")
    told = subprocess.run(
        [linter, "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout


def test_the_platform_knows_of_the_model_only_the_verdict(graph: grimp.ImportGraph) -> None:
    # Management commands are adapters: they may run the pipeline.
    modules = {
        module
        for package in PLATFORM
        for module in graph.find_descendants(package)
        if ".management." not in module
    }
    assert len(modules) > 20
    wrong = {
        (module, found)
        for module in modules
        for found in graph.find_modules_directly_imported_by(module)
        if found.startswith("inference_worker") and found != "inference_worker.verdict"
    }
    assert wrong == set()


def test_only_the_tasks_of_the_model_side_know_the_platform(graph: grimp.ImportGraph) -> None:
    knowing = {
        module
        for module in graph.find_descendants("inference_worker")
        for found in graph.find_modules_directly_imported_by(module)
        if found.partition(".")[0] in {"accounts", "analyses", "dermai"}
    }
    assert knowing == {"inference_worker.tasks"}


def test_lifecycle_is_the_only_door_from_the_worker_into_the_database() -> None:
    """Beside it: what the process is called, and the names of what can go wrong."""
    tree = ast.parse((ROOT / "inference_worker" / "tasks.py").read_text())
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("analyses")
        for alias in node.names
    }
    assert "lifecycle" in names
    assert names <= {"lifecycle", "worker", "FailureCode", "ImageUnavailableError"}


def test_nothing_inside_the_model_side_imports_its_tasks(graph: grimp.ImportGraph) -> None:
    assert graph.find_modules_that_directly_import("inference_worker.tasks") == set()


def test_our_own_packages_load_no_pickle() -> None:
    """Weights are safetensors and messages are JSON: nothing that could run code is read."""
    wrong = []
    for package in ("dermai", *PLATFORM, "inference_worker", "training"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                imported = (
                    {alias.name for alias in node.names}
                    if isinstance(node, ast.Import)
                    else {node.module}
                    if isinstance(node, ast.ImportFrom)
                    else set()
                )
                loads = isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load"
                if loads or imported & {"pickle", "cPickle", "dill", "joblib", "shelve"}:
                    wrong.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}")
    assert wrong == []
