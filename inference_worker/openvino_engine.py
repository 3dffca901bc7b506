"""Networks on the CPU by OpenVINO: batch norms folded, layers fused, bfloat16 where it pays."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import torch

from inference_worker import memory, openvino_cache
from inference_worker.errors import ConversionError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Precision: TypeAlias = Literal["float32", "bfloat16"]

COMPILED_AT_ONCE: Final = 2
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


@dataclass(slots=True)
class OpenVinoNetwork:
    """One network, an `openvino.Model`, compiled at its first pass for each size of batch.

    Static shapes are the fastest, and a pipeline knows but two: one view, and all of them.
    """

    model: Any
    precision: Precision
    threads: int
    _requests: dict[tuple[int, ...], Any] = field(default_factory=dict)
    _compiling: threading.Lock = field(default_factory=threading.Lock)

    def run(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the network's outputs, float32, for `x`, float32 n × 3 × side × side.

        Afterwards its request holds neither. Where it is not compiled yet and cannot be, raises
        `ConversionError`, or `OutOfMemoryError`.
        """
        request = self._request(tuple(x.shape))
        own = request.get_input_tensor(0)
        shown = openvino_cache.runtime().Tensor(x.contiguous().numpy(), shared_memory=True)
        try:
            # The outputs are the request's own memory until they are copied.
            results = request.infer(shown, share_inputs=True, share_outputs=True)
            return tuple(torch.from_numpy(results[port].copy()) for port in range(len(results)))
        finally:
            # A request keeps what it was given and what it said until the next photo.
            request.set_input_tensor(0, own)
            for said in request.output_tensors:
                said.data.fill(0)

    def prepare(self, views: int, side: int) -> None:
        """Compile it for so many `views` of `side` px, before they come.

        Raises `ConversionError`, or `OutOfMemoryError`.
        """
        self._request((views, 3, side, side))

    def _request(self, shape: tuple[int, ...]) -> Any:
        with self._compiling:
            if shape not in self._requests:
                try:
                    self._requests[shape] = self._compile(shape).create_infer_request()
                except RuntimeError as error:
                    if memory.is_short(error):
                        raise OutOfMemoryError from error  # it may be there another time
                    raise ConversionError(
                        f"OpenVINO cannot compile a network of the bundle for {shape[0]} views of "
                        f"{shape[-1]} px: {error}"
                    ) from error
            return self._requests[shape]

    def _compile(self, shape: tuple[int, ...]) -> Any:
        model = self.model.clone()
        model.reshape(list(shape))
        compiled = openvino_cache.core().compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
                "INFERENCE_NUM_THREADS": self.threads,
                "NUM_STREAMS": 1,
                # Several workers on one machine would all be pinned to the same cores.
                "ENABLE_CPU_PINNING": False,
            },
        )
        # What was compiled has its weights in a layout of its own.
        if weights := openvino_cache.weights_of(self.model):
            memory.give_back_mapped(weights)
        return compiled


@dataclass(frozen=True, slots=True)
class OpenVinoEngine:
    """A member of the ensemble."""

    network: OpenVinoNetwork

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Run the member once over `views`."""
        logits, features = self.network.run(views)
        return logits, features


@dataclass(frozen=True, slots=True)
class OpenVinoSegmenter:
    """The lesion segmenter."""

    network: OpenVinoNetwork

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, n × 1 × side × side."""
        (logits,) = self.network.run(x)
        return logits


def prepare(wanted: Sequence[tuple[OpenVinoNetwork, int, int]]) -> None:
    """Compile each network for its number of views of its side in px, some at a time.

    Compiling one keeps a single core busy. Raises `ConversionError`.
    """
    with ThreadPoolExecutor(COMPILED_AT_ONCE) as pool:
        list(pool.map(lambda one: one[0].prepare(*one[1:]), wanted))
