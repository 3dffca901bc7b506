from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from inference_worker.manifest import Input
from training import augment
from training.augment import Augmentation
from training.schedule import Stage
from training.tasks import ClassifierTask, Pool

STILL = Augmentation(
    flips=False,
    quarter_turns=False,
    rotation=0,
    scale=(1.0, 1.0),
    shift=0,
    stretch=0,
    brightness=0,
    contrast=0,
    saturation=0,
    hue=0,
    cast=0,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def photos(n: int = 4, side: int = 16) -> torch.Tensor:
    return torch.from_numpy(rng(1).random((n, 3, side, side))).float()


def test_no_augmentation_changes_nothing() -> None:
    x = photos()
    where = augment.grid(4, 16, STILL, rng(), np.full(4, 4 / 3))

    assert torch.allclose(augment.warp(x, where), x, atol=1e-5)
    assert torch.allclose(augment.recolour(x, STILL, rng()), x, atol=1e-5)


def test_quarter_turns_of_a_squashed_photo_are_exact() -> None:
    """A landscape photo turned by 90° is a portrait one: squashed, the square turned."""
    turns = Augmentation(
        flips=False,
        rotation=0,
        scale=(1.0, 1.0),
        shift=0,
        stretch=0,
    )
    x = photos(64)
    found = augment.warp(x, augment.grid(64, 16, turns, rng(), np.full(64, 4 / 3)))

    seen = set()
    for before, after in zip(x, found, strict=True):
        matches = [
            k for k in range(4) if torch.allclose(torch.rot90(before, k, (1, 2)), after, atol=1e-4)
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert seen == {0, 1, 2, 3}


def test_each_photo_of_a_batch_has_its_own_view() -> None:
    x = photos(1).expand(8, -1, -1, -1).contiguous()
    where = augment.grid(8, 16, Augmentation(), rng(), np.full(8, 4 / 3))

    found = augment.recolour(augment.warp(x, where), Augmentation(), rng(2))

    assert len({tuple(view.flatten().tolist()) for view in found}) == 8
    assert found.min() >= 0
    assert found.max() <= 1


def test_a_turned_circle_stays_round_in_the_photos_own_shape() -> None:
    """Squashed from 4:3, a circle is an upright ellipse; a turn by 20° must not tilt it."""
    side = 96
    y, x = np.mgrid[:side, :side] / side - 0.5
    circle = (np.hypot(x * 4 / 3, y) < 0.25).astype(np.float32)
    image = torch.from_numpy(circle).expand(1, 3, side, side).contiguous()
    only_turn = Augmentation(
        flips=False, quarter_turns=False, rotation=20, scale=(1, 1), shift=0, stretch=0
    )

    turned = augment.warp(image, augment.grid(1, side, only_turn, rng(), np.array([4 / 3])))

    assert (turned - image).abs().mean() < 0.02


def test_the_same_seed_draws_the_same_views() -> None:
    first, again = (augment.grid(3, 8, Augmentation(), rng(9), np.full(3, 1.0)) for _ in range(2))

    assert torch.equal(first, again)


def test_normalise_takes_the_mean_to_zero() -> None:
    x = torch.full((1, 3, 2, 2), 0.5)

    found = augment.normalise(x, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))

    assert found[0, :, 0, 0].tolist() == pytest.approx([0.0, 1.0, 0.5])


def test_a_batch_is_augmented_as_asked_or_else_as_the_schedule_says() -> None:
    photos_of = np.full((8, 16, 16, 3), 100, np.uint8)
    pool = Pool(photos_of, np.arange(8), np.ones((8, 2), np.bool_), np.ones(8), np.ones(8))
    task = ClassifierTask(
        model=torch.nn.Identity(),
        pools=[pool],
        shares=[1.0],
        augmentation=STILL,
        input=Input(size=16),
        criterion=torch.nn.functional.cross_entropy,
        validation=photos_of,
        validation_labels=np.zeros(8, np.int64),
        groups={},
        device=torch.device("cpu"),
    )

    def spread(how: Augmentation | None) -> float:
        ((x, _),) = task.batches(rng(), Stage(16, 1, 8, augmentation=how), batch=8)
        return float(x.mean((1, 2, 3)).std())

    assert spread(None) < 1e-5
    assert spread(replace(STILL, brightness=0.3)) > 0.1
