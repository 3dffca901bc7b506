"""What a process holds in memory, as Linux tells it. Loads nothing but the standard library."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["VmRSS", "VmHWM", "Pss"]
"""Resident now; the most that was resident; resident, each page shared out among its holders."""

_FILES: Final[dict[Kind, str]] = {"VmRSS": "status", "VmHWM": "status", "Pss": "smaps_rollup"}


def held(process: str, kind: Kind) -> int:
    """Return bytes of `process`, a number or `self`; 0 where it has none left.

    Raises OSError where it has ended, or belongs to somebody else.
    """
    lines = Path("/proc", process, _FILES[kind]).read_text().splitlines()
    told = next((line for line in lines if line.startswith(f"{kind}:")), f"{kind}: 0 kB")
    return int(told.split()[1]) * 1024


def peak() -> int:
    """Return the most bytes that were resident since this program was started.

    `getrusage` would tell that of the process that started it, where that had more.
    """
    return held("self", "VmHWM")
