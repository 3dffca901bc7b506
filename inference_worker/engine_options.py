"""Which engine runs a bundle's networks, in which precision. No torch in here.

One setting says it: `auto`, or an engine's name, or that with a precision: `openvino`,
`openvino-float32`, `openvino-bfloat16`, `openvino-int8`, `torch`, `torch-float32`,
`torch-bfloat16`.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

EngineName: TypeAlias = Literal["auto", "openvino", "torch"]
Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "int8"]

ENGINES: Final = ("openvino", "torch")
PRECISIONS: Final = ("float32", "bfloat16")
INT8: Final = "int8"
"""Integers, of OpenVINO alone and where a bundle was quantised (`inference_worker.quantise`)."""
_BF16_FLAGS: Final = {"avx512_bf16", "amx_bf16", "bf16"}
_INT8_FLAGS: Final = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}
_CPUINFO: Final = Path("/proc/cpuinfo")
_CPU_MAX: Final = Path("/sys/fs/cgroup/cpu.max")


class UnknownEngineError(ValueError):
    """The setting names an engine or a precision that there is not."""

    code = "engine_unknown"


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a bundle; `auto` leaves engine and precision to what the machine has.

    An engine that is named without a precision runs in float32. `cache` is the folder that keeps
    converted networks between starts; None keeps none.
    """

    engine: EngineName = "auto"
    precision: Precision = "auto"
    cache: Path | None = None


AUTO: Final = Options()


def parse(text: str, *, cache: Path | None = None) -> Options:
    """Return what the setting `text` asks for. Raises `UnknownEngineError`."""
    engine, _, precision = text.strip().lower().partition("-")
    if engine == "auto" and not precision:
        return Options(cache=cache)
    known = (*PRECISIONS, INT8) if engine == "openvino" else PRECISIONS
    if engine not in ENGINES or (precision and precision not in known):
        raise UnknownEngineError(
            f"unknown engine {text!r}: use auto, or one of {', '.join(ENGINES)}, alone or with "
            f"-{' or -'.join(PRECISIONS)}, as in openvino-float32; or openvino-{INT8}"
        )
    chosen = cast("Precision", precision or "auto")
    return Options(engine=cast("EngineName", engine), precision=chosen, cache=cache)


def cpu_multiplies_bfloat16(cpuinfo: Path = _CPUINFO) -> bool:
    """Tell whether the CPU has instructions for bfloat16; without them it is slower, not faster."""
    return bool(_BF16_FLAGS & _flags(cpuinfo))


def cpu_multiplies_int8(cpuinfo: Path = _CPUINFO) -> bool:
    """Tell whether the CPU sums products of 8 bits without overflow; others round differently."""
    return bool(_INT8_FLAGS & _flags(cpuinfo))


def threads(cpu_max: Path = _CPU_MAX) -> int:
    """Return how many threads to compute on.

    OMP_NUM_THREADS, else every core of this process, but no more than its container's share: more
    threads than that wait for each other.
    """
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    return max(1, min(len(os.sched_getaffinity(0)), _quota(cpu_max)))


def _flags(cpuinfo: Path) -> set[str]:
    """Return what the first core can do, by the names of the file; nothing where there is none."""
    try:
        text = cpuinfo.read_text()
    except OSError:
        return set()
    lines = (line.partition(":") for line in text.splitlines())
    flags = next((v for k, _, v in lines if k.strip() in {"flags", "Features"}), "")
    return set(flags.split())


def _quota(cpu_max: Path) -> int:
    """Return the cores that the control group (version 2) grants, rounded up."""
    try:
        granted, period = cpu_max.read_text().split()
        return math.ceil(int(granted) / int(period))
    except (OSError, ValueError):  # no such group, or "max"
        return os.cpu_count() or 1
