"""The engines that run a bundle's networks, and which of them this machine uses.

An engine runs one network; the feature map comes out beside the logits, so that the heat map needs
no second pass. A ladder of engines, the fastest first, runs the ensemble: each rung says how far
its answer may lie from the plain float32 one, and what lies nearer to a decision than that is asked
again on the next rung. The last rung is the reference itself.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import torch

from inference_worker import memory, openvino_cache, quantised
from inference_worker.engine_options import INT8, Options, cpu_multiplies_bfloat16, threads
from inference_worker.errors import ConversionError
from inference_worker.openvino_engine import (
    OpenVinoEngine,
    OpenVinoNetwork,
    OpenVinoSegmenter,
    prepare,
)
from inference_worker.static_shapes import SAME, SAME_IN_BFLOAT16, StaticShapes
from inference_worker.views import plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from inference_worker.bundle import Bundle, Verified

BFLOAT16_BAND: Final = 0.5
"""Log-odds within which a bfloat16 answer is asked again; see docs/performance.md."""

FLOAT32_BAND: Final = 1e-3
"""The same for float32 in another order of summation."""

PHOTOS_AT_ONCE_ON_A_GPU: Final = 8
"""How many photos a GPU judges together: one photo's views do not fill it, and with more than eight
the members hardly gain, while a photo waits longer (docs/performance.md)."""

_REFERENCE: Final = "torch-float32"
logger = logging.getLogger(__name__)


class Head(Protocol):
    """What stands behind a feature map, in PyTorch and in evaluation mode."""

    def forward_head(self, features: Tensor) -> Tensor:
        """Map n × channels × height × width to logits, n × outputs."""
        ...


class Classifier(Head, Protocol):
    """A torch module cut between its feature map and its head, in evaluation mode."""

    def forward_features(self, x: Tensor) -> Tensor:
        """Map n × 3 × side × side to n × channels × height × width."""
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

    With `bfloat16`, autocast: convolutions and matrix products are bfloat16. On a GPU layer norms,
    group norms and softmax stay float32; a batch norm goes by what it is given, and rounds what it
    says to bfloat16 after a convolution. With `channels_last`, the channels of a pixel lie side by
    side, as a GPU's convolutions read them.
    """

    classifier: Classifier
    bfloat16: bool = False
    channels_last: bool = False

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Run the member once over `views`."""
        if self.channels_last:
            views = views.contiguous(memory_format=torch.channels_last)
        lower = (
            torch.autocast(views.device.type, torch.bfloat16) if self.bfloat16 else nullcontext()
        )
        with torch.inference_mode(), lower:
            features = self.classifier.forward_features(views)
            return self.classifier.forward_head(features).float(), features.float()


@dataclass(frozen=True, slots=True)
class Late:
    """A member in plain float32 PyTorch that is read from its bundle when asked, and then let go.

    For the end of a ladder, which hardly any photo reaches: it costs such a photo the time to build
    the network, and all others nothing.
    """

    bundle: Bundle | Verified
    number: int

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Read the member and run it once over `views`.

        Raises a `BundleError` where its file is not there any more, or is not the one that was
        checked at the start: no other rung's answer is taken for this one's.
        """
        return TorchEngine(self.bundle.member(self.number)).forward(views)


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
        return self.set_right(logits, first), features

    @staticmethod
    def set_right(logits: Tensor, first: Tensor) -> Tensor:
        """Return the `logits` of a photo's views less their error in the first, truly `first`."""
        return logits + (first - logits[:1])


@dataclass(frozen=True, slots=True)
class ViewByView:
    """A member that passes over each view by itself, on the network that one view needs anyway.

    OpenVINO compiles a network for each size of batch, and holds its weights and room for its maps
    each time. What few photos reach is not worth that: view by view it takes the same time.
    """

    engine: Engine

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Run the member over each of `views`; the feature map is that of the first."""
        told = [self.engine.forward(view) for view in torch.split(views, 1)]
        return torch.cat([logits for logits, _ in told]), told[0][1]


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
class StaticSegmenter:
    """The segmenter as a graph, on a GPU: launched one by one, its kernels took 23 ms a photo."""

    passes: StaticShapes

    @classmethod
    def of(cls, segmenter: Segmenter) -> StaticSegmenter:
        """Return `segmenter` with passes over one photo at a time."""
        return cls(StaticShapes(_SaidTwice(segmenter), (1,)))

    def forward(self, x: Tensor) -> Tensor:
        """Run the segmenter once over `x`."""
        return self.passes.forward(x)[0]


@dataclass(frozen=True, slots=True)
class _SaidTwice:
    """A segmenter where an engine is wanted: its logits are its feature map."""

    segmenter: Segmenter

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.segmenter.forward(views)
        return logits, logits


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

    `first` is the first member for the out-of-distribution check, in float32 as is the segmenter,
    whichever rung is the first. Near the limit of the check the last rung is asked; of the
    segmenter nothing is asked again, so that a pixel of the lesion's edge may lie on the other side
    of it than in the reference, by float32 in another order of summation.
    """

    ladder: tuple[Rung, ...]
    first: Engine
    segmenter: Segmenter | None
    prepare: Callable[[], object] | None = None
    """What makes the first photo as fast as the others; None where nothing does."""

    def only(self, rung: Rung) -> Engines:
        """Return the engines with one rung alone, which is asked once whatever it says."""
        return replace(self, ladder=(replace(rung, band=0.0),))


def plain(bundle: Bundle) -> Engines:
    """Return plain PyTorch in float32: the reference."""
    members = tuple(TorchEngine(member) for member in bundle.members)
    segmenter = None if bundle.segmenter is None else TorchSegmenter(bundle.segmenter)
    return Engines((Rung(_REFERENCE, members, 0.0),), members[0], segmenter)


def build(bundle: Bundle | Verified, options: Options) -> Engines:
    """Return the engines that `options` ask for; `auto` is OpenVINO on a CPU, PyTorch on a GPU.

    By `auto` both are bfloat16 where the machine has instructions for it. Integers come before what
    `auto` would take; where the bundle was not quantised on this machine, it is that alone.
    Where OpenVINO is chosen by `auto` and cannot convert or compile the bundle, which it is made to
    do here, PyTorch runs it.
    Raises `ConversionError` where it was asked for by name and cannot convert it; where it cannot
    compile it, `Engines.prepare` does, or the first pass.
    """
    on_cpu = bundle.device.type == "cpu"
    lower = options.precision == "bfloat16"
    in_integers = options.precision == INT8
    if options.engine == options.precision == "auto" or in_integers:
        lower = cpu_multiplies_bfloat16() if on_cpu else _gpu_multiplies_bfloat16()
    elif lower and on_cpu and not cpu_multiplies_bfloat16():
        # OpenVINO would compute in float32 without a word, and PyTorch slower than that.
        logger.warning("this CPU has no instructions for bfloat16: float32 would be faster")
        lower = options.engine == "torch"
    if options.engine == "torch" or not on_cpu:
        return _torch(bundle.networks(), lower=lower, on_gpu=not on_cpu)
    try:
        integers = quantised.read(bundle, options.cache) if in_integers else None
        ready = _openvino(bundle, options, lower=lower, integers=integers)
        if options.engine == "auto" and ready.prepare is not None:
            ready.prepare()  # later there would be nothing to fall back on
    except ConversionError as error:
        if options.engine == "openvino":
            raise
        logger.warning("%s; PyTorch runs the bundle instead", error)
        return plain(bundle.networks())
    return ready


def _torch(bundle: Bundle, *, lower: bool, on_gpu: bool) -> Engines:
    # Where a GPU shortens float32 to 19 bits, there is no reference.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if on_gpu:
        for member in bundle.members:
            member.to(memory_format=torch.channels_last)
    plain_ones = [TorchEngine(member, channels_last=on_gpu) for member in bundle.members]
    views = len(plan(bundle.manifest.views).identity_first().names)
    sizes = _sizes(views) if on_gpu else ()
    members = tuple(_static(member, sizes) for member in plain_ones)
    segmenter: Segmenter | None = bundle.segmenter and TorchSegmenter(bundle.segmenter)
    if segmenter is not None and on_gpu:
        segmenter = StaticSegmenter.of(segmenter)
    reference = Rung(_REFERENCE, members, 0.0)
    if not lower:
        return Engines((reference,), members[0], segmenter)
    fast = tuple(
        Anchored(_static(replace(one, bfloat16=True), sizes), exact)
        for one, exact in zip(plain_ones, members, strict=True)
    )
    ladder = Rung("torch-bfloat16", fast, BFLOAT16_BAND), reference
    side = bundle.manifest.classifier.input.size
    seen = partial(torch.zeros, views, 3, side, side, device=bundle.device)
    again = partial(_see_once, members, seen) if on_gpu else None
    return Engines(ladder, members[0], segmenter, again)


def _see_once(members: Sequence[Engine], seen: Callable[[], Tensor]) -> None:
    """Let the reference record the pass that else only the first photo that is asked again needs.

    Where memory is short for it, that photo may meet a better time.
    """
    try:
        for member in members:
            member.forward(seen())
    except RuntimeError as error:
        if not memory.is_short(error):
            raise
        logger.warning("no memory now for what is asked again of a photo: %s", error)


def _sizes(views: int) -> tuple[int, ...]:
    """Return how many views come at once: one or all of each photo, of one photo or of several."""
    photos = [2**n for n in range(PHOTOS_AT_ONCE_ON_A_GPU.bit_length())]
    return tuple(sorted({count * of_each for count in photos for of_each in (1, views)}))


def _static(engine: TorchEngine, sizes: tuple[int, ...]) -> Engine:
    same = SAME_IN_BFLOAT16 if engine.bfloat16 else SAME
    return StaticShapes(engine, sizes, same) if sizes else engine


def _gpu_multiplies_bfloat16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _openvino(
    bundle: Bundle | Verified,
    options: Options,
    *,
    lower: bool,
    integers: quantised.Quantised | None = None,
) -> Engines:
    models = openvino_cache.networks(bundle, options.cache)
    number = threads()
    described = bundle.manifest.classifier
    names = openvino_cache.member_names(len(described.members))
    views = len(plan(bundle.manifest.views).identity_first().names)
    networks = [OpenVinoNetwork(models[name], "float32", number) for name in names]
    exact = tuple(map(OpenVinoEngine, networks))
    reference = Rung(_REFERENCE, tuple(Late(bundle, n) for n in range(len(names))), 0.0)
    coarse: list[tuple[str, list[OpenVinoNetwork], float]] = []
    if integers is not None:
        # What is not made of integers in them is float32.
        quick = [OpenVinoNetwork(integers.models[name], "float32", number) for name in names]
        coarse.append((INT8, quick, integers.band))
    if lower:
        half = [OpenVinoNetwork(models[name], "bfloat16", number) for name in names]
        coarse.append(("bfloat16", half, BFLOAT16_BAND))
    fast = tuple(
        Rung(f"openvino-{kind}", tuple(map(Anchored, map(OpenVinoEngine, found), exact)), band)
        for kind, found, band in coarse
    )
    if fast:
        last: tuple[Engine, ...] = tuple(map(ViewByView, exact))
        wanted = [(one, views) for _, found, _ in coarse for one in found]
        wanted += [(one, 1) for one in networks]
    else:
        last = exact
        wanted = [(one, views) for one in networks] + [(networks[0], 1)]
    ladder = (*fast, Rung("openvino-float32", last, FLOAT32_BAND), reference)
    compiled = [(one, count, described.input.size) for one, count in wanted]
    segmenter, model = None, models.get(openvino_cache.SEGMENTER)
    if model is not None and bundle.manifest.segmenter is not None:
        segmenter = OpenVinoSegmenter(OpenVinoNetwork(model, "float32", number))
        compiled.append((segmenter.network, 1, bundle.manifest.segmenter.input.size))
    return Engines(ladder, exact[0], segmenter, partial(prepare, compiled))
