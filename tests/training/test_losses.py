from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.losses import Loss, criterion, dice_bce, focal, partial_cross_entropy

LOGITS = torch.tensor([[2.0, 0.0, 1.0], [0.5, 0.5, -1.0]])
NONE = torch.zeros(3)


def one_hot(*labels: int) -> torch.Tensor:
    return functional.one_hot(torch.tensor(labels), 3).bool()


def test_a_full_label_is_plain_cross_entropy() -> None:
    expected = functional.cross_entropy(LOGITS, torch.tensor([0, 2]))

    assert partial_cross_entropy(LOGITS, one_hot(0, 2), adjustment=NONE) == pytest.approx(
        float(expected)
    )


def test_smoothing_is_label_smoothing() -> None:
    expected = functional.cross_entropy(LOGITS, torch.tensor([0, 2]), label_smoothing=0.2)

    found = partial_cross_entropy(LOGITS, one_hot(0, 2), adjustment=NONE, smoothing=0.2)

    assert found == pytest.approx(float(expected))


def test_a_partial_label_is_the_probability_of_all_that_it_allows() -> None:
    not_the_first = ~one_hot(0)
    p = LOGITS[:1].softmax(1)[0]

    found = partial_cross_entropy(LOGITS[:1], not_the_first, adjustment=NONE)

    assert found == pytest.approx(-math.log(float(p[1] + p[2])), rel=1e-5)


def test_a_label_that_allows_everything_teaches_nothing() -> None:
    allowed = torch.ones(1, 3, dtype=torch.bool)

    assert partial_cross_entropy(LOGITS[:1], allowed, adjustment=NONE) == pytest.approx(0, abs=1e-6)


def test_the_adjusted_loss_is_least_at_the_true_prior() -> None:
    """Sampled evenly, a class of true prior 0.9 is still told at 0.9 by the bare logits."""
    true = torch.tensor([0.9, 0.1])
    adjustment = torch.log(torch.tensor([0.5, 0.5]) / true)
    logits = torch.zeros(1, 2, requires_grad=True)
    labels = torch.eye(2).bool()
    optimiser = torch.optim.LBFGS([logits], max_iter=50)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = partial_cross_entropy(logits.expand(2, 2), labels, adjustment=adjustment)
        loss.backward()
        return loss

    optimiser.step(closure)

    assert logits.softmax(1)[0, 0].item() == pytest.approx(0.9, abs=1e-3)


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        partial_cross_entropy(LOGITS, one_hot(0), adjustment=NONE)


def test_a_perfect_mask_costs_nothing_and_an_empty_one_agreed_on_costs_nothing() -> None:
    full = torch.zeros(1, 1, 4, 4)
    full[..., :2] = 1
    empty = torch.zeros(1, 1, 4, 4)

    assert dice_bce((full * 2 - 1) * 50, full) == pytest.approx(0, abs=1e-4)
    assert dice_bce((empty * 2 - 1) * 50, empty) == pytest.approx(0, abs=1e-4)
    assert dice_bce((full * 2 - 1) * -50, full) > 1


def test_dice_is_one_minus_twice_the_overlap_over_the_sum() -> None:
    target = torch.zeros(1, 1, 10, 10)
    target[..., :5] = 1
    logits = torch.zeros(1, 1, 10, 10)

    found = dice_bce(logits, target, dice_weight=1.0)

    assert found == pytest.approx(1 - (2 * 25 + 1) / (50 + 50 + 1), rel=1e-5)


def test_masks_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        dice_bce(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4))


def test_focal_loss_without_gamma_is_cross_entropy() -> None:
    labels = torch.tensor([0, 2])

    found = focal(LOGITS, labels, gamma=0.0, weight=torch.ones(3))

    assert found == pytest.approx(float(functional.cross_entropy(LOGITS, labels)))


def test_focal_loss_turns_away_from_what_is_sure() -> None:
    sure, unsure = torch.tensor([[5.0, 0.0]]), torch.tensor([[0.1, 0.0]])
    right = torch.tensor([0])

    def ratio(gamma: float) -> float:
        one, other = (focal(x, right, gamma=gamma, weight=torch.ones(2)) for x in (sure, unsure))
        return float(one / other)

    p = float(sure.softmax(1)[0, 0])
    assert focal(sure, right, gamma=2.0, weight=torch.ones(2)) == pytest.approx(
        -((1 - p) ** 2) * math.log(p), rel=1e-4
    )
    assert ratio(2.0) < 0.1 * ratio(0.0)


def weighed(loss: Loss, counts: list[int]) -> float:
    made = criterion(loss, np.array(counts), adjustment=torch.zeros(2), smoothing=0.0)
    logits = torch.zeros(1, 1 if loss.name == "bce" else 2)
    ill, well = torch.tensor([[False, True]]), torch.tensor([[True, False]])
    return float(made(logits, ill) / made(logits, well))


def test_classes_are_weighed_by_the_training_fold() -> None:
    assert weighed(Loss("focal", balanced=True), [765, 235]) == pytest.approx(765 / 235)
    assert weighed(Loss("cross_entropy"), [765, 235]) == pytest.approx(1.0)
    assert weighed(Loss("bce", balanced=True), [805, 195]) == pytest.approx(805 / 195)
    assert weighed(Loss("bce"), [805, 195]) == pytest.approx(1.0)
