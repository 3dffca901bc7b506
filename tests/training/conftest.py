"""What more than one file of tests trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.training import drawn
from tests.training.smoke import command

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit the drawn recipe at smoke size; return the folder of data, recipe and run."""
    folder = tmp_path_factory.mktemp("smoke")
    drawn.write(folder / "data")
    (folder / "drawn.yaml").write_text(drawn.RECIPE)
    assert command(folder, "fit", "--smoke") == 0
    return folder
