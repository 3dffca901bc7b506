"""What data a recipe needs is looked for before anything is trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training import drawn
from tests.training.smoke import command
from training import needs, recipe, smoke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of drawn data and the drawn recipe."""
    drawn.write(tmp_path / "data")
    (tmp_path / "drawn.yaml").write_text(drawn.RECIPE)
    return tmp_path


# By turns: read at export alone, by the members, by the segmenter.
@pytest.mark.parametrize("name", ["isic2020", "ham10000_224", "isic2018_task1"])
@pytest.mark.parametrize("size", [["--smoke"], []])
def test_a_set_that_is_missing_is_named_before_anything_is_trained(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, size: list[str]
) -> None:
    shutil.rmtree(folder / "data" / name)

    assert command(folder, "fit", *size) == 2

    said = capsys.readouterr().err
    assert f"no data set at {folder / 'data' / name} or " in said
    assert "docs/training.md" in said
    assert not (folder / "run").exists()


def test_a_set_that_is_laid_out_otherwise_is_named_before_anything_is_trained(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "data/isic2020/train.csv").unlink()

    assert command(folder, "fit", "--smoke") == 2

    assert "isic2020 has no file 'train.csv'" in capsys.readouterr().err
    assert not (folder / "run").exists()


def test_the_starter_needs_what_it_reads_at_export_but_not_as_a_single_member() -> None:
    starter = recipe.load("starter")[0]

    assert set(needs.sets(starter)) == {"ham10000", "isic2018_task1", "isic2017"}
    assert needs.sets(recipe.by_image(starter)) == ("ham10000",)
    assert needs.sets(starter, only=["3"]) == ("ham10000",)
    assert needs.sets(starter, only=["segmenter"]) == ("ham10000", "isic2018_task1")


def test_further_sets_are_not_needed(tmp_path: Path) -> None:
    convnext = recipe.load("convnext_base")[0]

    assert convnext.data.further == ("isic2019",)
    assert needs.missing(convnext, tmp_path) == ["ham10000"]


def test_a_smoke_run_draws_its_data_where_what_export_reads_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder / "data/isic2020")
    begun: list[str] = []

    def begin(arguments: list[str], _folder: Path) -> None:
        begun.extend(arguments)
        raise smoke.SmokeError

    monkeypatch.setattr(smoke, "_kill_at_checkpoint", begin)
    out = folder / "out"

    with pytest.raises(smoke.SmokeError):
        smoke.run(str(folder / "drawn.yaml"), folder / "data", out, threads=1)

    assert begun[begun.index("--data") + 1] == str(out / "drawn")
    assert (out / "drawn/isic2020/train.csv").exists()
