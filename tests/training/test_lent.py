"""What other data sets lend to a training, and what it changes in the loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training import drawn
from training import checkpoint, dataset, ended, learned, lent, loop, recipe
from training.fit import Run
from training.lent import Lent
from training.readers import Record
from training.splits import TEST, SplitError
from training.tasks import Pool


@pytest.fixture
def data(tmp_path: Path) -> Path:
    drawn.write(tmp_path)
    return tmp_path


def made(tmp_path: Path, **data: object) -> recipe.Recipe:
    (tmp_path / "drawn.yaml").write_text(drawn.RECIPE)
    found = recipe.load(str(tmp_path / "drawn.yaml"))[0]
    # Drawn lesions are alike to a hash: only what is the same photo is to count as a copy.
    return replace(found, data=recipe.DataSpec(near_duplicates=0, **data))  # type: ignore[arg-type]


def sources(records: list[Record]) -> list[str]:
    return sorted({record.source for record in records})


def test_a_partial_photo_that_shows_a_held_out_lesion_is_not_trained_on(data: Path) -> None:
    made_ = made(data, partial="isic2017", partial_share=0.2)
    own = dataset.labelled(made_, data)
    tested, learnt = own.records[own.split.test[0]], own.records[own.split.of(1)[0]]
    own_fold = own.records[own.split.of(0)[0]]
    for number, record in enumerate((tested, learnt, own_fold)):
        photo = (data / "ham10000" / record.path).read_bytes()
        (data / f"isic2017/train/images/ISIC_9train{number}.jpg").write_bytes(photo)

    others = lent.lent(made_, own, data)
    _, kept = others.trainable([*own.split.test, *own.split.of(0)])

    # Copies of labelled photos are left out, whichever part these are in.
    assert len(others.partial) == 5
    assert len(kept) == 5


def test_a_further_photo_of_a_held_out_lesion_is_kept_for_no_one_to_train_on(data: Path) -> None:
    made_ = made(data, further=("isic2019",))
    own = dataset.labelled(made_, data)
    lesion = own.records[own.split.test[0]].lesion_id
    table = data / "isic2019/ISIC_2019_Training_Metadata.csv"
    table.write_text(table.read_text().replace("BCN_0,", f"{lesion},"))

    others = lent.lent(made_, own, data)
    kept, _ = others.trainable(own.split.test)

    names = [others.further[i].lesion_id for i in kept]
    assert len(others.further) == 48
    assert lesion not in names
    assert len(names) == 47


def test_copies_within_a_lent_set_count_once(data: Path) -> None:
    made_ = made(data, partial="isic2017", partial_share=0.2)
    images = data / "isic2017/train/images"
    copy = data / "isic2017/val/images/ISIC_9val0.jpg"
    copy.write_bytes((images / "ISIC_9train3.jpg").read_bytes())
    (data / "isic2017/val/images/ISIC_9val1.jpg").write_bytes(
        (images / "ISIC_9train2.jpg").read_bytes()
    )
    own = dataset.labelled(made_, data)

    others = lent.lent(made_, own, data)

    assert len(others.partial) == 6
    assert all(record.path.startswith("train/") for record in others.partial)


def test_a_further_set_that_is_not_at_hand_is_done_without_and_said(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made_ = made(data, further=("isic2019", "folder:absent"))
    own = dataset.labelled(made_, data)

    found = lent.lent(made_, own, data, few=3)

    assert sources(found.further) == ["isic2019"]
    assert len(found.further) == 3
    assert "absent is not in" in caplog.text


def test_a_plain_folder_that_is_at_hand_lends_its_photos_under_its_own_name(data: Path) -> None:
    made_ = made(data, further=("folder:ours",))
    own = dataset.labelled(made_, data)
    for number, dx in enumerate(("nv", "mel")):
        (data / "ours" / dx).mkdir(parents=True)
        picture = Image.new("RGB", (64, 48), (150 + 40 * number, 100, 90))
        picture.save(data / "ours" / dx / "one.jpg")

    found = lent.lent(made_, own, data)
    assert len(found.further) == 2

    licensed = replace(made_, licences={"folder:ours": "CC0-1.0"})
    run = Run(licensed, data, data / "out", torch.device("cpu"))
    for part in (run.member(0), run.member(1), run.segmenter):
        part.mkdir(parents=True)
        plan = ended.Plan("", ()).metadata()
        checkpoint.save_weights(part / loop.FINAL, torch.nn.Linear(1, 1), plan)
    described = learned.learned(run, own, found, None).data
    ours = next(one for one in described if one["name"] == "folder:ours")
    assert (ours["licence"], ours["images"]) == ("CC0-1.0", 2)


@pytest.mark.parametrize("monitor", [None, "malignant_auc"])
def test_what_chooses_the_weights_is_not_the_fold_that_the_gate_is_certified_on(
    data: Path, monitor: str | None
) -> None:
    plain = made(data, partial="isic2017", partial_share=0.2)
    optimiser = replace(plain.schedule.optimiser, monitor=monitor)
    made_ = replace(plain, schedule=replace(plain.schedule, optimiser=optimiser))
    own = dataset.labelled(made_, data)
    fold = own.split.of(0)

    parts = dataset.parts(made_, own, 0)
    others = lent.lent(made_, own, data)
    (first, *_), _ = dataset.pools(made_, own, 0, others, data=data, cache_dir=data / "cache")

    assert not set(parts.train) & {*parts.watched, *fold, *own.split.test}
    assert first.rows.tolist() == parts.train
    if monitor is None:
        assert parts.watched == fold
    else:
        assert parts.watched
        assert sorted(parts.train + parts.watched) == own.split.train(0)


def test_a_watched_training_with_no_lesion_to_spare_is_refused_with_the_remedy(data: Path) -> None:
    plain = made(data)
    optimiser = replace(plain.schedule.optimiser, monitor="malignant_auc")
    made_ = replace(plain, schedule=replace(plain.schedule, optimiser=optimiser))
    own = dataset.labelled(made_, data)
    first = {own.records[i].dx: own.records[i].lesion_id for i in own.split.train(0)}
    alone = [
        TEST if fold == 1 and own.records[i].lesion_id not in first.values() else fold
        for i, fold in enumerate(own.split.fold)
    ]
    few = replace(own, split=replace(own.split, fold=tuple(alone)))

    with pytest.raises(SplitError, match=r"no diagnosis has two lesions.*leave 'monitor' out"):
        dataset.parts(made_, few, 0)


def test_further_photos_are_drawn_by_their_number_and_weigh_in_the_classes(data: Path) -> None:
    made_ = made(data, further=("isic2019",), class_power=1.0)
    own = dataset.labelled(made_, data)

    others = lent.lent(made_, own, data)
    pools, shares = dataset.pools(made_, own, 0, others, data=data, cache_dir=data / "cache")

    count = [len(pool.rows) for pool in pools]
    assert count[1] == 48
    assert shares == pytest.approx([n / sum(count) for n in count])
    assert dataset.counts(pools).sum() == sum(count)


def pool(allowed: list[list[int]], weight: list[float], *, views: bool = False) -> Pool:
    n = len(allowed)
    of = np.zeros((n, 1, 1, 3), np.uint8)
    return Pool(
        of, np.arange(n), np.array(allowed, np.bool_), np.array(weight), np.ones(n), views=views
    )


def test_the_prior_that_partial_labels_bring_is_taken_back() -> None:
    """Half of the draws from a set with no melanoma (column 1) at all."""
    labelled = pool([[1, 0, 0]] * 6 + [[0, 1, 0]] * 2 + [[0, 0, 1]] * 2, [1.0] * 10)
    partial = pool([[1, 0, 1]] * 5, [1.0] * 5)

    found = dataset.adjustment([labelled, partial], [0.5, 0.5]).exp()

    # Of the partial half .75 count as column 0 and .25 as column 2: their true odds are 6 to 2.
    expected = torch.tensor([0.3 + 0.375, 0.1, 0.1 + 0.125]) / torch.tensor([0.6, 0.2, 0.2])
    assert torch.allclose(found, expected)


def test_photos_drawn_by_the_root_of_their_class_are_taken_back_as_before() -> None:
    labels = np.array([0] * 9 + [1] * 4)
    weight = np.array([9, 4])[labels] ** -0.5
    found = dataset.adjustment([pool(np.eye(2)[labels].tolist(), weight.tolist())], [1.0])

    expected = torch.log(torch.tensor([3 / 5, 2 / 5]) / torch.tensor([9 / 13, 4 / 13]))
    assert torch.allclose(found, expected)


def test_a_column_without_photos_is_not_adjusted() -> None:
    assert dataset.adjustment([pool([[1, 0]], [1.0])], [1.0]).tolist() == [0.0, 0.0]


def test_second_views_of_a_photo_do_not_count_as_photos() -> None:
    pools = [pool([[1, 0], [0, 1]], [1, 1]), pool([[1, 0]], [1], views=True), pool([[1, 1]], [1])]

    assert dataset.counts(pools).tolist() == [1, 1]


def test_a_set_is_not_further_to_itself(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="labelled set already"):
        made(tmp_path, further=("ham10000",))


def test_nothing_lent_costs_no_look_at_any_photo(data: Path) -> None:
    made_ = made(data)
    own = dataset.labelled(made_, data)
    for path in (data / "ham10000/images").iterdir():
        path.unlink()

    found = lent.lent(made_, own, data)

    assert isinstance(found, Lent)
    assert found.further == found.partial == []
