from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch._dynamo.utils import counters

from tests.training.test_loop import Blobs, PowerCutError
from training import loop, precision

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

CPU = torch.device("cpu")
STAGES = (loop.Stage(8, 2, 24),)


def fit(task: Blobs, out: Path, *, resume: bool = False, **more: object) -> dict[str, Tensor]:
    optimiser = loop.Optimiser(lr=0.05, batch=8, ema=0.0, checkpoint_every=1, **more)  # type: ignore[arg-type]
    path = loop.fit(task, STAGES, optimiser, loop.Place(out, CPU), seed=3, resume=resume)
    return load_file(path)


class Seeing(Blobs):
    """Blobs that note in which type their network answers, while it learns and is validated."""

    def __init__(self) -> None:
        super().__init__()
        self.learnt: set[torch.dtype] = set()
        self.judged: set[torch.dtype] = set()

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        self.learnt.add(output.dtype)
        return super().loss(output, target)

    def validate(self, model: nn.Module, size: int) -> dict[str, float]:
        self.judged.add(model(torch.zeros(2, 3, size, size)).dtype)
        return super().validate(model, size)


@pytest.mark.parametrize(
    ("wanted", "kind"), [("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)]
)
def test_a_network_learns_and_is_validated_in_the_recipes_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, kind: torch.dtype
) -> None:
    monkeypatch.setattr(precision, "cpu_multiplies_bfloat16", lambda: True)
    task = Seeing()

    fit(task, tmp_path, precision=wanted)

    assert task.learnt == task.judged == {kind}
    losses = [float(r.split(",")[2]) for r in (tmp_path / "log.csv").read_text().splitlines()[1:]]
    assert losses[1] < losses[0]


def test_a_killed_fp16_run_takes_up_the_scale_of_its_losses(tmp_path: Path) -> None:
    whole = fit(Blobs(), tmp_path / "whole", precision="fp16")
    with pytest.raises(PowerCutError):
        fit(Blobs(dies_in_epoch=2), tmp_path / "killed", precision="fp16")

    resumed = fit(Blobs(), tmp_path / "killed", precision="fp16", resume=True)

    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_gradient_that_overflows_in_fp16_is_left_out_and_the_scale_halved(
    tmp_path: Path,
) -> None:
    class Overflowing(Blobs):
        def loss(self, output: Tensor, target: Tensor) -> Tensor:
            return super().loss(output, target) * 1e38

    task = Overflowing()
    before = {name: p.detach().clone() for name, p in task.model.named_parameters()}

    after = fit(task, tmp_path, precision="fp16")

    assert all(torch.equal(before[name], after[name]) for name in before)


def test_where_bf16_would_be_emulated_training_is_in_float32_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(precision, "cpu_multiplies_bfloat16", lambda: False)

    with caplog.at_level(logging.WARNING):
        assert precision.on(CPU, "bf16") == "fp32"

    assert "no instructions for bf16" in caplog.text
    assert precision.on(CPU, "fp16") == "fp16"


@pytest.mark.parametrize(("own", "found"), [(True, "bf16"), (False, "fp32")])
def test_a_gpu_that_only_emulates_bf16_trains_in_float32(
    monkeypatch: pytest.MonkeyPatch, own: bool, found: str
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return own or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert precision.on(torch.device("cuda"), "bf16") == found


def test_a_depthwise_convolution_leaves_autocast_on_a_cpu_alone() -> None:
    layer = precision.depthwise_in_float32(nn.Conv2d(4, 4, 3, groups=4))

    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.zeros(1, 4, 8, 8)).dtype == torch.float32
    elsewhere = layer.to("meta").bfloat16()(torch.zeros(1, 4, 8, 8, device="meta").bfloat16())
    assert elsewhere.dtype == torch.bfloat16


def test_a_compiled_network_learns_what_the_plain_one_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced and differentiated by torch.compile; its last step, a C++ compiler, is left out."""
    quick = functools.partialmethod(nn.Module.compile, backend="aot_eager")
    plain = fit(Blobs(), tmp_path / "plain", precision="fp32")
    counters.clear()
    monkeypatch.setattr(nn.Module, "compile", quick)

    compiled = fit(Blobs(), tmp_path / "compiled", precision="fp32", compile=True)

    assert counters["frames"]["ok"] > 0
    assert plain.keys() == compiled.keys()
    assert all(torch.allclose(plain[n], compiled[n], atol=0.05) for n in plain)
