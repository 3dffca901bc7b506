"""Members × views, on real networks with random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inference_worker import ensemble, views
from inference_worker.architectures import Classifier, ClassifierSpec, build_classifier
from inference_worker.engines import TorchEngine
from inference_worker.errors import NonFiniteError, WrongOutputError

NINE = [
    *("identity", "hflip", "vflip", "hvflip"),
    *("rot90", "rot180", "rot270", "centre95", "reflect105"),
]
SIDE = 64


def member(seed: int, outputs: int = 7) -> Classifier:
    torch.manual_seed(seed)
    classifier = build_classifier(ClassifierSpec("mobilenetv2_050"), outputs).eval()
    for parameter in classifier.parameters():
        parameter.requires_grad_(requires_grad=False)
    # Random weights barely tell pictures apart: a larger head makes members and views differ.
    classifier.head[-1].weight.mul_(40)
    return classifier


def photo() -> torch.Tensor:
    return torch.rand((3, SIDE, SIDE), generator=torch.Generator().manual_seed(5))


def ask(
    members: list[Classifier],
    names: list[str],
    outputs: int = 7,
    activation: ensemble.Activation = "softmax",
) -> ensemble.Opinions:
    plan = views.plan(names)
    engines = [TorchEngine(m) for m in members]
    return ensemble.ask(
        engines, views.batch(photo(), plan.names), plan, outputs=outputs, activation=activation
    )


def plain_mean(members: list[Classifier], names: list[str]) -> np.ndarray:
    """Average the softmax over a loop of single passes, as the sources do."""
    with torch.no_grad():
        rows = [
            m(views.batch(photo(), [name])).double().softmax(dim=1)[0]
            for m in members
            for name in names
        ]
    return torch.stack(rows).mean(dim=0).numpy()


def test_the_mean_is_that_of_45_single_passes() -> None:
    members = [member(seed) for seed in range(5)]
    opinions = ask(members, NINE)
    assert opinions.probabilities.shape == (5, 8, 7)
    assert opinions.mean() == pytest.approx(plain_mean(members, NINE), abs=1e-6)


def test_the_order_of_the_views_does_not_matter() -> None:
    members = [member(seed) for seed in range(2)]
    forwards, backwards = ask(members, NINE), ask(members, ["identity", *NINE[:0:-1]])
    assert forwards.mean() == pytest.approx(backwards.mean(), abs=1e-6)
    assert not np.allclose(forwards.probabilities[:, 1], backwards.probabilities[:, 1], atol=1e-6)


def test_every_opinion_sums_to_one() -> None:
    opinions = ask([member(0), member(1)], NINE)
    assert opinions.probabilities.sum(axis=2) == pytest.approx(1)
    assert opinions.of_members().sum(axis=1) == pytest.approx(1)


def test_one_sigmoid_output_becomes_not_and_yes() -> None:
    single = member(0, outputs=1)
    opinions = ask([single], ["identity"], outputs=1, activation="sigmoid")
    with torch.no_grad():
        expected = torch.sigmoid(single(photo()[None]).double()).item()
    assert opinions.mean() == pytest.approx([1 - expected, expected], abs=1e-6)


def test_huge_logits_do_not_overflow() -> None:
    rows = ensemble.activate(np.array([[1e4, -1e4, 0.0]]), "softmax")
    assert rows == pytest.approx(np.array([[1.0, 0.0, 0.0]]))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_nan_in_one_member_stops_everything(number: int) -> None:
    members = [member(seed) for seed in range(3)]
    members[number].head[-1].weight[0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match=f"member {number}") as caught:
        ask(members, NINE)
    assert caught.value.code == "model_nonfinite"


def test_an_infinity_in_one_member_stops_everything() -> None:
    broken = member(1)
    broken.head[-1].bias[3] = float("inf")
    with pytest.raises(NonFiniteError, match="member 1"):
        ask([member(0), broken], NINE)


def test_a_member_of_another_width_stops_everything() -> None:
    with pytest.raises(WrongOutputError, match=r"member 1.*\(8, 5\).*\(8, 7\)") as caught:
        ask([member(0), member(1, outputs=5)], NINE)
    assert caught.value.code == "bundle_invalid"


def test_the_feature_map_of_the_photo_as_it_stands_is_kept() -> None:
    classifier = member(0)
    opinions = ask([classifier], NINE)
    with torch.no_grad():
        expected = classifier.forward_features(photo()[None])
    assert torch.allclose(opinions.maps[0], expected, rtol=1e-3, atol=1e-4)
