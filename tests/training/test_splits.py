from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import drawn
from training import readers, splits
from training.readers import Record


def photos(lesions: int, each: int, dx: str) -> list[Record]:
    return [
        Record(f"{dx}-{lesion}-{photo}", f"{dx}-{lesion}", "drawn", "", dx=dx)
        for lesion in range(lesions)
        for photo in range(each)
    ]


RECORDS = photos(40, 2, "nv") + photos(10, 3, "mel")


def split(records: list[Record] = RECORDS, seed: int = 1) -> splits.Split:
    return splits.by_lesion(records, test_share=0.2, folds=4, seed=seed)


def test_no_lesion_stands_on_two_sides() -> None:
    folds: dict[str, set[int]] = {}
    for record, fold in zip(RECORDS, split().fold, strict=True):
        folds.setdefault(record.lesion_id, set()).add(fold)

    assert all(len(found) == 1 for found in folds.values())


def test_each_part_has_its_share_of_each_class() -> None:
    found = split()

    for fold, lesions in ((splits.TEST, {"nv": 8, "mel": 2}), (0, {"nv": 8, "mel": 2})):
        for dx, count in lesions.items():
            own = {RECORDS[i].lesion_id for i in found.of(fold) if RECORDS[i].dx == dx}
            assert len(own) == count


def test_a_member_never_trains_on_its_own_fold_or_the_test_part() -> None:
    found = split()

    for fold in range(4):
        assert not set(found.train(fold)) & {*found.of(fold), *found.test}
        assert set(found.train(fold)) | set(found.of(fold)) == set(found.development)


def test_what_a_member_is_watched_by_shares_no_lesion_with_what_it_learns_from() -> None:
    rows = list(range(len(RECORDS)))
    learnt, watched = splits.share(RECORDS, rows, 0.1, seed=1)

    assert sorted([*learnt, *watched]) == rows
    lesions = [{RECORDS[i].lesion_id for i in part} for part in (learnt, watched)]
    assert not lesions[0] & lesions[1]
    for dx in {record.dx for record in RECORDS}:
        own, seen = (
            len({RECORDS[i].lesion_id for i in part if RECORDS[i].dx == dx})
            for part in (learnt + watched, watched)
        )
        assert seen == min(max(1, round(own * 0.1)), own - 1), dx
    assert splits.share(RECORDS, rows, 0.1, seed=1) == (learnt, watched)
    assert splits.share(RECORDS, rows, 0.1, seed=2) != (learnt, watched)


def test_the_same_seed_gives_the_same_split_whatever_the_order_of_records() -> None:
    assert split().sha256 == split(RECORDS[::-1]).sha256
    assert split().sha256 != split(seed=2).sha256


def test_a_class_with_too_few_lesions_is_refused() -> None:
    with pytest.raises(splits.SplitError, match="'df' has 3 lesions"):
        split(RECORDS + photos(3, 1, "df"))


@pytest.mark.parametrize(
    ("first", "second"),
    [("ISIC_0025226", "ISIC_0030074"), ("ISIC_0027027", "ISIC_0029036")],
)
def test_near_identical_photos_of_two_lesions_become_one(
    tmp_path: Path, first: str, second: str
) -> None:
    drawn.write(tmp_path)
    ham = tmp_path / "ham10000"
    text = (ham / "metadata.csv").read_text()
    for own, name in (("ISIC_0000000", first), ("ISIC_0000041", second)):
        text = text.replace(own, name)
        (ham / f"images/{own}.jpg").rename(ham / f"images/{name}.jpg")
    (ham / "metadata.csv").write_text(text)

    lesions = {r.image_id: r.lesion_id for r in readers.read(tmp_path, readers.HAM10000)}

    assert lesions[first] == lesions[second]
    assert len(set(lesions.values())) == len(lesions) - 1
