"""What every test of the model side starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from inference_worker.bundle import Bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a bundle of two tiny members and a segmenter, to which nothing is strange."""
    from inference_worker.bundle import load
    from tests.inference_worker import tiny  # loads torch

    folder = tmp_path_factory.mktemp("bundle")
    return load(tiny.write(folder, members=2, segmenter_bias=0.5, ood_limit=1e6))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for converted networks."""
    return tmp_path_factory.mktemp("cache")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what a proof measured, as a line to copy into docs/performance.md."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
