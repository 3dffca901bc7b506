from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.training import drawn
from training import dataset, masked, recipe
from training.readers import Record


@pytest.fixture
def data(tmp_path: Path) -> Path:
    drawn.write(tmp_path)
    (tmp_path / "drawn.yaml").write_text(drawn.RECIPE)
    return tmp_path


def parts(data: Path, **more: object) -> tuple[masked.Masked, dataset.Labelled]:
    made = recipe.load(str(data / "drawn.yaml"))[0]
    own = dataset.labelled(made, data)
    assert made.segmenter is not None
    return masked.masked(made, replace(made.segmenter, **more), own, data), own


def paths(records: list[Record]) -> set[str]:
    return {f"{record.source}/{record.path}" for record in records}


def test_a_segmenter_is_watched_by_photos_that_it_neither_learns_from_nor_is_tested_on(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.duplicates.DISTANCE", 0)

    found, own = parts(data, validation=0.2)

    learnt = paths([found.records[i] for i in found.train])
    watched = paths([found.records[i] for i in found.validation])
    tested = paths(found.test) | paths([own.records[i] for i in own.split.test])
    assert learnt
    assert watched
    assert len(found.test) == 6
    assert not learnt & watched
    assert not (learnt | watched) & tested
    assert len(watched) == pytest.approx(0.2 * len(learnt | watched), abs=1)


def test_a_copy_of_a_test_photo_is_in_no_part_and_a_copy_of_another_in_the_same(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.duplicates.DISTANCE", 0)
    found, _ = parts(data)
    tested = found.test[0]
    mine = next(r for r in found.records if r.source == "ham10000")
    free = [r for r in found.records if r.source == "isic2018_task1"]
    for record, copy in ((tested, free[0]), (mine, free[1])):
        photo = (data / record.source / record.path).read_bytes()
        (data / copy.source / copy.path).write_bytes(photo)

    again, _ = parts(data)

    assert paths([tested]) <= paths(again.test)
    assert not paths([free[0]]) & paths(again.records)
    at = {f"{r.source}/{r.path}": i for i, r in enumerate(again.records)}
    one, other = (at[next(iter(paths([r])))] for r in (mine, free[1]))
    assert (one in again.validation) == (other in again.validation)


def test_too_few_masks_to_watch_by_are_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.duplicates.DISTANCE", 0)
    with pytest.raises(masked.TooFewMasksError, match="name a data set with masks"):
        parts(data, validation=0.0)
