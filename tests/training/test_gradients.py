"""Nothing in a recipe's network is trained by nothing: several processes would not even start."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from inference_worker.architectures import build_classifier, build_segmenter
from inference_worker.manifest import ClassifierSpec
from training import recipe, schedule


def unmoved(model: nn.Module) -> list[str]:
    """Return the parameters that are to learn and have no gradient after one batch."""
    model.zero_grad(set_to_none=True)
    model(torch.randn(2, 3, 64, 64)).square().sum().backward()
    return [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]


@pytest.mark.parametrize("name", recipe.names())
def test_every_parameter_that_is_to_learn_gets_a_gradient_in_each_phase(name: str) -> None:
    made = recipe.load(name)[0]
    torch.manual_seed(0)
    model = build_classifier(made.classifier, len(made.outputs))
    stages, spec = made.schedule.stages, made.schedule.optimiser
    layered = any(stage.layered for stage in stages)
    groups = schedule.build(model, spec, layered=layered).param_groups

    for stage in stages:
        schedule.set_frozen(groups, stage.rates(spec.lr, max(g["layer"] for g in groups)))
        schedule.set_training(model)
        assert unmoved(model) == [], stage

    if made.segmenter is not None:
        assert unmoved(build_segmenter(made.segmenter.architecture).train()) == []


def test_the_last_three_blocks_of_a_convnext_are_three_blocks() -> None:
    with torch.device("meta"):
        model = build_classifier(ClassifierSpec("convnext_base", head="norm_linear"), 2)
    stage = schedule.Stage(64, 1, 8, train="last", blocks=3)
    groups = schedule.build(model, schedule.Optimiser(), layered=True).param_groups

    schedule.set_frozen(groups, stage.rates(1e-3, max(g["layer"] for g in groups)))

    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    blocks = {n.split(".")[4] for n in learning if n.startswith("trunk.stages.3.blocks")}
    assert blocks == {"0", "1", "2"}
    assert not any(n.startswith(("trunk.stages.2", "trunk.head")) for n in learning)
    assert {"head.0.weight", "head.0.bias"} <= learning
