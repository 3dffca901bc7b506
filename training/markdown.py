"""Pieces of Markdown: tables, and figures as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

NOT_MEASURED: Final = "not measured"
"""What stands for a figure that a bundle of an older make does not hold."""


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; each cell is written as `str` writes it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def ends(found: Mapping[str, Any] | float | None) -> tuple[float | None, ...]:
    """Return a figure's value, and the two ends of its interval where it has one.

    `found` as `metrics.Sample.figure` gives it, or the bare value: what older bundles hold.
    """
    if not isinstance(found, Mapping):
        return (found,)
    return (found["value"], *(found.get("ci") or ()))


def figure(
    found: Mapping[str, Any] | float | None, places: int = 4, *, signed: bool = False
) -> str:
    """Return a figure that `ends` can read: its value, its interval where it has one.

    A dash where it could not be computed.
    """
    sign = "+" if signed else ""
    return _joined(found, lambda end: f"{end:{sign}.{places}f}")


def share(found: Mapping[str, Any] | float | None) -> str:
    """Return a share of 1 that `ends` can read as a percentage, its interval where it has one."""
    return _joined(found, percent)


def measured(found: Mapping[str, Any], name: str, places: int = 4, *, signed: bool = False) -> str:
    """Return the figure `name` of `found`; "not measured" where a bundle lacks it."""
    return figure(found[name], places, signed=signed) if name in found else NOT_MEASURED


def _joined(found: Mapping[str, Any] | float | None, written: Callable[[float], str]) -> str:
    known = [end for end in ends(found) if end is not None]
    if len(known) < len(ends(found)):
        return "–"
    value, *interval = (written(end) for end in known)
    return f"{value} ({interval[0]} to {interval[1]})" if interval else value


def number(value: float | None, places: int = 4) -> str:
    """Return a number; what could not be computed is a dash."""
    return "–" if value is None else f"{value:.{places}f}"


def percent(share: float | None) -> str:
    """Return a share of 1 as a percentage; what could not be computed is a dash."""
    return "–" if share is None else f"{100 * share:.1f}%"
