"""Photos laid over one another: what is seen of each, and what the loss makes of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training import losses, mixing
from training.augment import Augmentation


def photos(*, size: int = 16) -> tuple[Tensor, Tensor]:
    """Return four photos, each all of its own number, and each of its own class of four."""
    numbers = torch.arange(4.0).view(4, 1, 1, 1)
    return numbers.expand(4, 3, size, size).clone(), torch.eye(4).bool()


def cross_entropy(logits: Tensor, allowed: Tensor) -> Tensor:
    return losses.partial_cross_entropy(logits, allowed, adjustment=torch.zeros(4))


@pytest.mark.parametrize("how", [Augmentation(mixup=0.4), Augmentation(cutmix=1.0)])
def test_a_label_counts_as_much_as_is_seen_of_its_photo(how: Augmentation) -> None:
    x, allowed = photos()
    for seed in range(20):
        mixed, target = mixing.mix(x, allowed, how, np.random.default_rng(seed))
        assert torch.allclose(target.sum((1, 2)), torch.ones(4))
        # The mean of a photo of one number tells how much of which number is in it.
        shares = target.sum(1)
        assert torch.allclose(mixed.mean((1, 2, 3)), shares @ torch.arange(4.0), atol=1e-5)
        assert torch.equal(target[:, 1] > 0, (allowed.flip(0) & (target[:, 1] > 0)))


def test_cutmix_pastes_one_rectangle_and_changes_nothing_else() -> None:
    x, allowed = photos()
    mixed, _ = mixing.mix(x, allowed, Augmentation(cutmix=1.0), np.random.default_rng(3))
    pasted = mixed[0, 0] == 3.0
    assert ((mixed[0, 0] == 0.0) | pasted).all()
    rows, columns = pasted.any(1), pasted.any(0)
    assert 0 < pasted.sum() < pasted.numel()
    assert int(pasted.sum()) == int(rows.sum() * columns.sum())


def test_both_ways_take_turns() -> None:
    x, allowed = photos()
    how = Augmentation(mixup=1.0, cutmix=1.0)
    whole = 0
    for seed in range(40):
        mixed, _ = mixing.mix(x, allowed, how, np.random.default_rng(seed))
        whole += bool((mixed[0] == mixed[0].round()).all())
    assert 10 < whole < 30


def test_the_loss_of_a_mixed_photo_is_that_of_its_soft_label() -> None:
    x, allowed = photos()
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(5))
    _, target = mixing.mix(x, allowed, Augmentation(mixup=1.0), np.random.default_rng(7))
    soft = functional.cross_entropy(logits, target.sum(1))
    assert torch.isclose(mixing.loss(cross_entropy, logits, target), soft)


def test_a_photo_that_hides_the_other_wholly_has_its_own_loss() -> None:
    _, allowed = photos()
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(5), requires_grad=True)
    target = torch.stack([allowed.float(), torch.zeros(4, 4)], 1)
    loss = mixing.loss(cross_entropy, logits, target)
    assert torch.isclose(loss, cross_entropy(logits, allowed))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_partial_labels_mix_too() -> None:
    x, _ = photos()
    allowed = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 0, 0]]).bool()
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(5))
    _, target = mixing.mix(x, allowed, Augmentation(mixup=1.0), np.random.default_rng(7))
    own = float(target[0, 0].amax())
    expected = own * cross_entropy(logits, allowed) + (1 - own) * cross_entropy(
        logits, allowed.flip(0)
    )
    assert torch.isclose(mixing.loss(cross_entropy, logits, target), expected)


def test_photos_that_are_not_mixed_have_the_bare_loss() -> None:
    _, allowed = photos()
    logits = torch.randn(4, 4)
    assert torch.equal(mixing.loss(cross_entropy, logits, allowed), cross_entropy(logits, allowed))
