"""Ways to run a member on a GPU, on a small network and the CPU: figures, and the same answers."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from benchmarks import ways

SMALL = ["--arch", "convnext_atto", "--side", "64", "--views", "3", "--exact", "2"]


def run(capsys: pytest.CaptureFixture[str], *names: str) -> dict[str, dict[str, float]]:
    assert ways.main([*SMALL, "--device", "cpu", "--ways", *names]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    return {way["way"]: way for way in told["ways"]}


def test_each_way_says_what_it_takes_and_how_far_it_is_off(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = run(capsys, "autocast", "bfloat16", "float32", "three products")

    assert [told[name]["views"] for name in told] == [3, 3, 2, 2]
    assert all(way["ms"] > 0 and way["tflops"] > 0 for way in told.values())
    assert told["float32"]["logits_off"] <= 1e-4
    assert told["three products"]["logits_off"] <= 5e-3
    for name in ("autocast", "bfloat16"):
        assert 10 * told["three products"]["logits_off"] < told[name]["logits_off"] < 1


def test_compiled_blocks_say_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As traced: what turns that into kernels needs a compiler, which not every machine has."""
    monkeypatch.setattr(ways, "BACKEND", "eager")
    told = run(capsys, "autocast compiled")
    assert 0 < told["autocast compiled"]["logits_off"] < 1


def test_three_products_keep_sixteen_bits() -> None:
    torch.manual_seed(1)
    linear, x = nn.Linear(64, 32), torch.randn(2, 5, 64)
    exact = linear.double()(x.double())
    split = ways.ThreeProducts(linear.float())(x)
    rounded = x.bfloat16().float() @ linear.weight.bfloat16().float().T + linear.bias
    assert split.shape == (2, 5, 32)
    assert (split - exact).abs().max() < 1e-4
    assert (rounded - exact).abs().max() > 1e-3


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU"):
        ways.main(SMALL)
