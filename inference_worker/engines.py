"""The engines that run a bundle's networks, and which of them this machine uses.

An engine runs one network; the feature map comes out beside the logits, so that the heat map needs
no second pass. A ladder of engines, the fastest first, runs the ensemble: each rung says how far
its answer may lie from the plain float32 one, and what lies nearer to a decision than that is asked
again on the next rung. The last rung is the reference itself.
"""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import torch

from inference_worker import openvino_cache
from inference_worker.engine_options import Options, cpu_multiplies_bfloat16
from inference_worker.openvino_engine import OpenVinoEngine, OpenVinoNetwork, OpenVinoSegmenter

if TYPE_CHECKING:
    from torch import Tensor, nn

    from inference_worker.bundle import Bundle

BFLOAT16_BAND: Final = 0.5
"""Log-odds within which a bfloat16 answer is asked again; see docs/performance.md."""

FLOAT32_BAND: Final = 1e-3
"""The same for float32 in another order of summation."""

logger = logging.getLogger(__name__)


class Classifier(Protocol):
    """A torch module cut between its feature map and its head, in evaluation mode."""

    def forward_features(self, x: Tensor) -> Tensor:
        """Map n × 3 × side × side to n × channels × height × width."""
        ...

    def forward_head(self, features: Tensor) -> Tensor:
        """Map n × channels × height × width to logits, n × outputs."""
        ...


class Engine(Protocol):
    """One member, ready to run."""

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Return float32 logits, n × outputs, and feature map, 1 or n × channels × height × width.

        The map is of the first view at least.
        `views` float32 n × 3 × side × side, normalised.
        """
        ...


class Segmenter(Protocol):
    """The lesion segmenter, ready to run."""

    def forward(self, x: Tensor) -> Tensor:
        """Return float32 logits, n × 1 × side × side, of `x`, float32 n × 3 × side × side."""
        ...


@dataclass(frozen=True, slots=True)
class TorchEngine:
    """A member in PyTorch, on the device of its weights; by default plain float32.

    With `bfloat16`, autocast: norms and softmax stay float32.
    """

    classifier: Classifier
    bfloat16: bool = False

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Run the member once over `views`."""
        lower = (
            torch.autocast(views.device.type, torch.bfloat16) if self.bfloat16 else nullcontext()
        )
        with torch.inference_mode(), lower:
            features = self.classifier.forward_features(views)
            return self.classifier.forward_head(features).float(), features.float()


@dataclass(frozen=True, slots=True)
class Anchored:
    """A member of low precision, set right by its `exact` answer to the first view.

    Most of what low precision does to a photo it does to all views of it alike. So the error in the
    logits of the first view is taken off those of every view, and the feature map returned is that
    of the exact pass, 1 × channels × height × width. `views` are of one photo.
    """

    fast: Engine
    exact: Engine

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Run the member over `views`, and exactly over the first of them."""
        logits, _ = self.fast.forward(views)
        first, features = self.exact.forward(views[:1])
        return logits + (first - logits[:1]), features


@dataclass(frozen=True, slots=True)
class TorchSegmenter:
    """The segmenter in plain PyTorch, float32."""

    network: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """Run the segmenter once over `x`."""
        with torch.inference_mode():
            logits: Tensor = self.network(x)
            return logits.float()


@dataclass(frozen=True, slots=True)
class Rung:
    """All members on one kind of engine.

    `band` in log-odds: an answer that lies at least so far from a decision is the reference's too.
    """

    name: str
    members: tuple[Engine, ...]
    band: float


@dataclass(frozen=True, slots=True)
class Engines:
    """A bundle's networks, ready to run.

    `first` is the first member for the out-of-distribution check, in float32 as is the segmenter:
    what these two decide, no precision changes.
    """

    ladder: tuple[Rung, ...]
    first: Engine
    segmenter: Segmenter | None


def plain(bundle: Bundle) -> Engines:
    """Return plain PyTorch in float32: the reference."""
    members = tuple(TorchEngine(member) for member in bundle.members)
    segmenter = None if bundle.segmenter is None else TorchSegmenter(bundle.segmenter)
    return Engines((Rung("torch-float32", members, 0.0),), members[0], segmenter)


def build(bundle: Bundle, options: Options) -> Engines:
    """Return the engines that `options` ask for; `auto` is OpenVINO on a CPU, PyTorch on a GPU.

    OpenVINO by `auto` is bfloat16 where the CPU has instructions for it.
    Where OpenVINO is chosen by `auto` and cannot take the bundle, PyTorch runs it.
    Raises `openvino_cache.ConversionError` where it was asked for by name.
    """
    on_cpu = next(bundle.members[0].parameters()).device.type == "cpu"
    lower = options.precision == "bfloat16"
    if on_cpu and options.engine == options.precision == "auto":
        lower = cpu_multiplies_bfloat16()
    elif lower and on_cpu and not cpu_multiplies_bfloat16():
        logger.warning("this CPU has no instructions for bfloat16: float32 would be faster")
    if options.engine == "torch" or not on_cpu:
        return _torch(bundle, lower=lower)
    try:
        return _openvino(bundle, options, lower=lower)
    except openvino_cache.ConversionError as error:
        if options.engine == "openvino":
            raise
        logger.warning("%s; PyTorch runs the bundle instead", error)
        return plain(bundle)


def threads() -> int:
    """Return how many threads to compute on: OMP_NUM_THREADS, else every core of this process."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdecimal() and int(told) > 0 else len(os.sched_getaffinity(0))


def _torch(bundle: Bundle, *, lower: bool) -> Engines:
    reference = plain(bundle)
    if not lower:
        return reference
    fast = tuple(TorchEngine(member, bfloat16=True) for member in bundle.members)
    rung = Rung("torch-bfloat16", fast, BFLOAT16_BAND)
    return Engines((rung, *reference.ladder), reference.first, reference.segmenter)


def _openvino(bundle: Bundle, options: Options, *, lower: bool) -> Engines:
    models = openvino_cache.networks(bundle, options.cache)
    number = threads()
    names = [f"member-{index}" for index in range(len(bundle.members))]
    exact = tuple(
        OpenVinoEngine(OpenVinoNetwork(models[name], "float32", number)) for name in names
    )
    rungs = [Rung("openvino-float32", exact, FLOAT32_BAND), *plain(bundle).ladder]
    if lower:
        fast = tuple(
            Anchored(OpenVinoEngine(OpenVinoNetwork(models[name], "bfloat16", number)), member)
            for name, member in zip(names, exact, strict=True)
        )
        rungs.insert(0, Rung("openvino-bfloat16", fast, BFLOAT16_BAND))
    model = models.get(openvino_cache.SEGMENTER)
    segmenter = model and OpenVinoSegmenter(OpenVinoNetwork(model, "float32", number))
    return Engines(tuple(rungs), exact[0], segmenter)
