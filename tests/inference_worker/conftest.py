"""What every test of the model side starts from."""

from __future__ import annotations

import pytest

from inference_worker import engines, openvino_cache, pipeline


@pytest.fixture(autouse=True)
def _listening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these loggers speak: import-linter, run in the same process, switches others' off."""
    for module in (engines, openvino_cache, pipeline):
        monkeypatch.setattr(module.logger, "disabled", False)
