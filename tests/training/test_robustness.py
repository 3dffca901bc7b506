from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training import drawn
from training import degrade, rate_bundle, robustness
from training.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit the drawn recipe without a segmenter at smoke size."""
    folder = tmp_path_factory.mktemp("robust")
    drawn.write(folder / "data")
    text = drawn.RECIPE[: drawn.RECIPE.index("segmenter:")]
    (folder / "drawn.yaml").write_text(text)
    paths = ["--data", str(folder / "data"), "--out", str(folder / "run"), "--threads", "1"]
    assert main(["fit", str(folder / "drawn.yaml"), "--smoke", *paths]) == 0
    return folder


def test_every_degradation_is_judged_with_and_without_each_step(folder: Path) -> None:
    loaded, run, own = rate_bundle.open_bundle(
        folder / "run" / "bundle",
        folder / "data",
        folder / "again",
        torch.device("cpu"),
        str(folder / "drawn.yaml"),
    )

    found = robustness.report(run, own, loaded, photos=6)
    text = robustness.write(found, folder / "out")

    rows = found["tasks"]["malignant"]
    assert [row["photos"] for row in rows] == list(degrade.KINDS)
    assert rows[0]["change"]["value"] == 0
    assert set(rows[0]["cleaning"]) == {
        "without hair",
        "with black_corners",
        "with clahe",
        "with ink",
        "with plasters",
    }
    assert (folder / "out" / "robustness.md").read_text() == text
    assert "| JPEG 30 |" in text
