"""What every test of the model side starts from."""

from __future__ import annotations

import pytest

from inference_worker import conversion, engines, openvino_cache, pipeline


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what a proof measured, as a line to copy into docs/performance.md."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture(autouse=True)
def _listening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these loggers speak: import-linter, run in the same process, switches others' off."""
    for module in (conversion, engines, openvino_cache, pipeline):
        monkeypatch.setattr(module.logger, "disabled", False)
