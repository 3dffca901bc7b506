from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from inference_worker import bundle
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


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    """Judge six photos of its test part, worse in every way; write the report into ``out``."""
    loaded, run, own = rate_bundle.open_bundle(
        folder / "run" / "bundle",
        folder / "data",
        folder / "again",
        torch.device("cpu"),
        str(folder / "drawn.yaml"),
    )
    found = robustness.report(run, own, loaded, photos=6)
    robustness.write(found, folder / "out")
    return found


def test_every_degradation_is_judged_with_and_without_each_step(
    folder: Path, found: dict[str, Any]
) -> None:
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
    assert "| JPEG 30 |" in (folder / "out" / "robustness.md").read_text()


def test_fewer_cleanings_are_judged_where_fewer_are_asked_for_and_none_twice(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle_, recipe = folder / "run" / "bundle", str(folder / "drawn.yaml")
    places = ["--data", str(folder / "data"), "--out", str(tmp_path), "--threads", "1"]
    less = ["--recipe", recipe, "--photos", "2"]

    assert main(["robustness", str(bundle_), *less, *places, "--cleanings", "hair"]) == 0
    found = json.loads((tmp_path / "robustness.json").read_text())["tasks"]["malignant"]
    assert {name for row in found for name in row["cleaning"]} == {"without hair"}

    def never(*_: object) -> None:
        raise AssertionError("these photos were judged by the call before")

    monkeypatch.setattr(robustness, "_judge", never)
    assert main(["robustness", str(bundle_), *less, *places, "--cleanings"]) == 0
    found = json.loads((tmp_path / "robustness.json").read_text())["tasks"]["malignant"]
    assert [row["cleaning"] for row in found] == [{}] * len(degrade.KINDS)


def test_a_bundle_takes_its_own_report_up_and_its_card_says_so(
    folder: Path, found: dict[str, Any]
) -> None:
    made = folder / "run" / "bundle"
    report = ["--robustness", str(folder / "out" / "robustness.json")]

    assert main(["card", str(made), *report, "--evidence", str(folder / "card/evidence")]) == 0

    held = bundle.load_manifest(made)[0].metrics["robustness"]
    assert held["n_images"] == found["n_images"]
    assert "## Worse photos" in (folder / "card/model-card.md").read_text()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"bundle": "other 1.0.0 0123456789ab"}', "measure this bundle"),
        ("[]", "no robustness report"),
        ("{", "no robustness report"),
        (None, "no robustness report"),
    ],
)
def test_no_bundle_takes_up_what_is_not_its_own_report(
    folder: Path, tmp_path: Path, text: str | None, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "r.json").write_text(text)
    made, report = folder / "run" / "bundle", str(tmp_path / "r.json")
    before = (made / "bundle.json").read_bytes()

    assert main(["card", str(made), "--robustness", report, "--evidence", str(tmp_path)]) == 2

    assert why in capsys.readouterr().err
    assert (made / "bundle.json").read_bytes() == before
