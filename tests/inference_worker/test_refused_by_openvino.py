"""Bundles that OpenVINO cannot convert or compile, or not now."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from inference_worker import engines, openvino_cache
from inference_worker.bundle import (
    Bundle,
    verify_and_open,
)
from inference_worker.engine_options import Options, parse
from inference_worker.errors import ConversionError, OutOfMemoryError
from inference_worker.pipeline import Pipeline
from tests.inference_worker.drawing import photo


@pytest.fixture(autouse=True)
def _cpu_with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every ladder be built; a CPU without its instructions computes this one in float32."""
    monkeypatch.setattr(engines, "cpu_multiplies_bfloat16", lambda: True)


def test_a_bundle_that_openvino_cannot_take_runs_on_pytorch_unless_it_was_asked_for(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward_features(self, _: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("an odd operation")

    odd = dataclasses.replace(bundle, members=(Odd(),))
    assert engines.build(odd, Options()).ladder[0].name == "torch-float32"
    assert "odd operation" in caplog.text
    with pytest.raises(ConversionError):
        engines.build(odd, Options("openvino"))


class Core:
    """An `openvino.Core` that refuses to compile networks of so many outputs for so many views."""

    def __init__(
        self, outputs: set[int], views: set[int], why: str = "the plugin does not know an operation"
    ) -> None:
        self.core, self.outputs, self.views = openvino_cache.core(), outputs, views
        self.why = why

    def read_model(self, path: Path) -> object:
        return self.core.read_model(path)

    def compile_model(self, model: Any, *rest: object) -> object:
        count = model.inputs[0].get_partial_shape()[0].get_length()
        if len(model.outputs) in self.outputs and count in self.views:
            raise RuntimeError(self.why)
        return self.core.compile_model(model, *rest)


@pytest.mark.parametrize("bfloat16", [True, False])
@pytest.mark.parametrize(("outputs", "count"), [(2, 8), (2, 1), (1, 1)])
def test_a_bundle_that_openvino_cannot_compile_runs_on_pytorch_unless_it_was_asked_for(
    bundle: Bundle,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    bfloat16: bool,
    outputs: int,
    count: int,
) -> None:
    """Be it a member, for all views or for one, or the segmenter, which has one output."""
    monkeypatch.setattr(engines, "cpu_multiplies_bfloat16", lambda: bfloat16)
    refusing = Core({outputs}, {count})
    monkeypatch.setattr(openvino_cache, "core", lambda: refusing)
    opened = verify_and_open(bundle.folder)

    ready = engines.build(opened, parse("auto", cache=cache))

    assert [rung.name for rung in ready.ladder] == ["torch-float32"]
    assert "an operation; PyTorch runs the bundle instead" in caplog.text
    assert Pipeline(opened, ready).run(photo()).classification is not None
    named = engines.build(opened, parse("openvino", cache=cache))
    assert named.prepare is not None
    with pytest.raises(ConversionError, match=f"for {count} views of 64 px: .*an operation"):
        named.prepare()


def test_memory_that_is_short_while_openvino_compiles_is_no_reason_to_run_on_pytorch(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That would be slower and take more, for as long as the process lives."""
    refusing = Core({2}, {8}, "std::bad_alloc")
    monkeypatch.setattr(openvino_cache, "core", lambda: refusing)
    opened = verify_and_open(bundle.folder)

    with pytest.raises(OutOfMemoryError):
        engines.build(opened, parse("auto", cache=cache))
