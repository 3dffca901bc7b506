"""`python -m benchmarks.ways --arch convnext_base`: ways to run one member on a GPU, side by side.

Many views in low precision, as groups of photos bring them, and a few exact ones. Each way's time
is that of a graph's replay, the median of several; beside it stand its rate, and how far logits are
off from plain float32, as they are and once anchored to the first view. What wins here is no engine
yet: `inference_worker.engines` says what runs.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any, Final, cast

import torch
from torch import nn

from benchmarks import machine, material
from inference_worker.architectures import build_classifier
from inference_worker.manifest import ClassifierSpec
from inference_worker.static_shapes import as_graph
from inference_worker.verdict import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from torch import Tensor

    from inference_worker.architectures import Classifier

    Step: TypeAlias = "Callable[[Tensor], tuple[Tensor, Tensor]]"

REPEATS: Final = 9
BACKEND = "inductor"


class ThreeProducts(nn.Module):
    """A linear layer whose float32 product is three of bfloat16: 16 bits of each number count.

    ``x·w ≈ (x₁ + x₂)·(w₁ + w₂)`` without the last, smallest part; the sums are float32.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        high, low = _halves(linear.weight.detach())
        self.register_buffer("weight", torch.cat([high, high, low], 1))
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return … × outputs of float32 … × inputs."""
        rows = x.reshape(-1, x.shape[-1])
        high, low = _halves(rows)
        parts, weight = torch.cat([high, low, high], 1), cast("Tensor", self.weight).t()
        if x.device.type == "cuda":
            product = torch.mm(parts, weight, out_dtype=torch.float32)
        else:  # no CPU sums them so; the numbers are the same
            product = parts.float() @ weight.float()
        return (product + self.bias).view(*x.shape[:-1], -1)


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    high = x.bfloat16()
    return high, (x - high.float()).bfloat16()


def plain(network: Classifier) -> Step:
    """Run in float32: the reference."""

    def step(views: Tensor) -> tuple[Tensor, Tensor]:
        features = network.forward_features(views)
        return network.forward_head(features).float(), features.float()

    return step


def autocast(network: Classifier) -> Step:
    """Run products and convolutions in bfloat16, norms in float32, as the engine does."""
    run = plain(network)

    def step(views: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(views.device.type, torch.bfloat16):
            return run(views)

    return step


def bfloat16(network: Classifier) -> Step:
    """Run the trunk in bfloat16, norms and sums too."""
    network.trunk.bfloat16()

    def step(views: Tensor) -> tuple[Tensor, Tensor]:
        features = network.forward_features(views.bfloat16()).float()
        return network.forward_head(features), features

    return step


def three_products(network: Classifier) -> Step:
    """Run in float32, each linear layer as `ThreeProducts`."""
    for module in list(network.trunk.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                module.register_module(name, ThreeProducts(child))
    return plain(network)


def compiled(way: Callable[[Classifier], Step], network: Classifier) -> Step:
    """Compile the trunk's blocks, which are alike, and not the whole."""
    step = way(network)
    for stage in cast("Any", network.trunk).stages:
        for block in stage.blocks:
            block.compile(dynamic=False, backend=BACKEND)
    return step


FAST: Final[dict[str, Callable[[Classifier], Step]]] = {
    "autocast": autocast,
    "bfloat16": bfloat16,
    "autocast compiled": partial(compiled, autocast),
    "bfloat16 compiled": partial(compiled, bfloat16),
}
EXACT: Final[dict[str, Callable[[Classifier], Step]]] = {
    "float32": plain,
    "three products": three_products,
    "three products compiled": partial(compiled, three_products),
    "tf32": plain,
}


@dataclass(frozen=True, slots=True)
class Bench:
    """A network, its views, n × 3 × side × side, and what plain float32 says of them."""

    network: Classifier
    views: Tensor
    logits: Tensor

    def measure(self, name: str, way: Callable[[Classifier], Step]) -> dict[str, float | str]:
        """Return what `way` takes and how far it is off; `first_s` is its first pass."""
        tf32 = name == "tf32"
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
        device, count = self.views.device, len(self.views)
        with torch.inference_mode():
            step = way(copy.deepcopy(self.network))
            started = time.perf_counter()
            step(self.views)
            machine.wait_for(device)
            first = time.perf_counter() - started
            if device.type == "cuda":
                step = as_graph(step, self.views)
            logits, _ = step(self.views)
            took = median(
                machine.fastest(lambda: step(self.views), 1, device) for _ in range(REPEATS)
            )
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        off = logits - self.logits
        work = machine.flops(self.network, self.views)
        return {
            "way": name,
            "views": count,
            "first_s": round(first, 1),
            "ms": round(took * 1000, 2),
            "tflops": round(work / took / 1e12, 6),
            "logits_off": float(off.abs().max()),
            "anchored_off": float((off - off[:1]).abs().max()),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each way, print a line of each and all as one JSON object; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ways", description=__doc__)
    parser.add_argument("--arch", default="convnext_base", help="a network with blocks in stages")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--views", type=int, default=64, help="in low precision")
    parser.add_argument("--exact", type=int, default=8, help="views in float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--ways", nargs="*", choices=(*FAST, *EXACT), default=(*FAST, *EXACT))
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: PyTorch finds no GPU: use --device cpu")
    device = torch.device(options.device)
    network = _network(options.arch, options.side).to(device)
    views = _views(options.side, max(options.views, options.exact)).to(device)
    with torch.inference_mode():
        logits, _ = plain(network)(views)
    told = []
    for ways, count in ((FAST, options.views), (EXACT, options.exact)):
        bench = Bench(network, views[:count], logits[:count])
        for name, way in ways.items():
            if name in options.ways:
                told.append(bench.measure(name, way))
                print(told[-1], file=sys.stderr, flush=True)
    print(json.dumps({"arch": options.arch, "device": options.device, "ways": told}))
    return 0


def _network(architecture: str, side: int) -> Classifier:
    torch.manual_seed(0)
    network = build_classifier(ClassifierSpec(architecture), len(CLASSES))
    material.enliven(network, material.drawn(side), seed=0)
    network.requires_grad_(requires_grad=False)
    return network.to(memory_format=torch.channels_last)


def _views(side: int, count: int) -> Tensor:
    """Return drawn photos with noise, so that no two are alike."""
    seen = material.drawn(side)
    views = seen.repeat(-(-count // len(seen)), 1, 1, 1)[:count]
    noise = torch.randn(views.shape, generator=torch.Generator().manual_seed(1))
    return (views + 0.05 * noise).contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    sys.exit(main())
