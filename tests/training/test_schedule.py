from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from inference_worker.architectures import build_classifier
from inference_worker.manifest import ClassifierSpec
from training import schedule
from training.schedule import Optimiser, Stage

SPEC = ClassifierSpec("mobilenetv2_050")


def model() -> nn.Module:
    torch.manual_seed(0)
    return build_classifier(SPEC, 2)


def begun(stage: Stage, **more: object) -> tuple[nn.Module, torch.optim.Optimizer, schedule.Rates]:
    network = model()
    spec = Optimiser(lr=1.0, schedule="constant", **more)  # type: ignore[arg-type]
    optimiser = schedule.build(network, spec, layered=True)
    rates = schedule.Rates(optimiser, spec, [10])
    rates.begin(stage)
    return network, optimiser, rates


def test_a_phase_of_the_head_freezes_the_trunk_and_its_statistics() -> None:
    network, _, _ = begun(Stage(64, 1, 8, train="head"))

    schedule.set_training(network)

    assert all(not p.requires_grad for p in network.trunk.parameters())  # type: ignore[union-attr]
    assert all(p.requires_grad for p in network.head.parameters())  # type: ignore[union-attr]
    norms = [m for m in network.trunk.modules() if isinstance(m, nn.BatchNorm2d)]  # type: ignore[union-attr]
    assert norms
    assert not any(norm.training for norm in norms)


def test_a_phase_of_the_last_blocks_thaws_these_and_the_head() -> None:
    network, _, _ = begun(Stage(64, 1, 8, train="last", blocks=3))

    layers = schedule.layer_of(network)
    thawed = {layers[name] for name, p in network.named_parameters() if p.requires_grad}
    head = max(layers.values())
    assert thawed == {head - 3, head - 2, head - 1, head}


def test_a_frozen_parameter_does_not_move() -> None:
    network, optimiser, _ = begun(Stage(32, 1, 8, train="head"))
    before = {name: p.detach().clone() for name, p in network.named_parameters()}

    network(torch.randn(2, 3, 32, 32)).sum().backward()
    optimiser.step()

    moved = {n for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    assert moved
    assert all(name.startswith("head.") for name in moved)


def test_discriminative_rates_rise_with_depth() -> None:
    _, optimiser, _ = begun(Stage(64, 1, 8, lr=0.5, trunk_lr=(0.1, 0.2, 0.3)))

    by_layer = {group["layer"]: group["lr"] for group in optimiser.param_groups}
    rates = [by_layer[layer] for layer in sorted(by_layer)]
    assert rates == sorted(rates)
    assert sorted(set(rates)) == [0.1, 0.2, 0.3, 0.5]
    assert rates[-1] == 0.5


@pytest.mark.parametrize("name", ["convnext_base", "efficientnet_b3", "resnet50"])
def test_every_trunk_of_the_recipes_has_layers_from_input_to_output(name: str) -> None:
    with torch.device("meta"):
        network = build_classifier(ClassifierSpec(name), 2)

    layers = schedule.layer_of(network)

    count = max(layers.values()) + 1
    assert count > 10
    assert set(layers.values()) == set(range(count))
    trunk = [
        layers[f"trunk.{n}"]
        for n, _ in timm.create_model(name).named_parameters()
        if f"trunk.{n}" in layers
    ]
    assert trunk[0] == 0


def test_warm_restarts_begin_each_cycle_at_the_full_rate() -> None:
    network = model()
    spec = Optimiser(lr=1.0, schedule="warm_restarts", t0=2, t_mult=2, eta_min=0.1)
    optimiser = schedule.build(network, spec, layered=False)
    rates = schedule.Rates(optimiser, spec, 10)
    rates.begin(Stage(64, 6, 8))

    seen = {}
    for epochs in (0.0, 1.0, 1.99, 2.0, 4.0, 5.99):
        rates.set(0, epochs)
        seen[epochs] = optimiser.param_groups[0]["lr"]

    assert seen[0.0] == seen[2.0] == pytest.approx(1.0)
    assert seen[1.0] == seen[4.0] == pytest.approx(0.55)
    assert seen[1.99] < 0.11
    assert seen[5.99] < 0.11


def test_a_plateau_halves_the_rate_after_as_many_stale_epochs_as_it_says_and_remembers() -> None:
    stage = Stage(64, 9, 8)
    made = []
    for _ in range(2):
        network = model()
        spec = Optimiser(lr=1.0, schedule="plateau", plateau=3, monitor="malignant_auc")
        optimiser = schedule.build(network, spec, layered=False)
        rates = schedule.Rates(optimiser, spec, [10])
        rates.begin(stage)
        made.append((optimiser, rates))
    (optimiser, rates), (other, again) = made

    seen = []
    for figure in (0.5, 0.6, 0.6, 0.5, 0.4):
        rates.see(figure)
        seen.append(optimiser.param_groups[0]["lr"])
    again.restore(rates.state())

    assert seen == [1.0, 1.0, 1.0, 1.0, 0.5]
    assert other.param_groups[0]["lr"] == 0.5
    for _ in range(3):
        again.see(0.5)
    assert other.param_groups[0]["lr"] == 0.25


def test_the_one_cycle_warms_up_and_ends_near_zero() -> None:
    optimiser = Optimiser(lr=1.0, warmup=0.1)
    rates = [schedule.rate(step, 100, optimiser) for step in range(100)]

    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 0.01
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_restart_begins_another_cycle() -> None:
    stages = [Stage(64, 2, 80), Stage(64, 3, 80), Stage(64, 5, 80, restart=True)]
    assert schedule.cycles(stages, 8) == [50, 50]
    spec = Optimiser(lr=1.0, warmup=0.1)
    optimiser = schedule.build(model(), spec, layered=False)
    rates = schedule.Rates(optimiser, spec, [50, 50])
    rates.begin(stages[0])

    seen = []
    for step in range(100):
        rates.set(step, 0.0)
        seen.append(optimiser.param_groups[0]["lr"])

    assert seen[:50] == seen[50:]
    assert seen[49] < 0.01 < seen[50]


def test_a_plateau_without_a_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="monitor"):
        Optimiser(schedule="plateau")
    with pytest.raises(ValueError, match="at least one epoch"):
        Optimiser(schedule="plateau", plateau=0, monitor="dice")
    with pytest.raises(ValueError, match="blocks"):
        Stage(64, 1, 8, train="last")
