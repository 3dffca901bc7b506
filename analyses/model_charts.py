"""The Model page's pictures and tables, from the figures that a bundle carries.

The same numbers that the evaluation draws; here they become points of a server-made SVG, with a
table of the same figures beside it for those who do not see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from analyses.wording import decimal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django_stubs_ext import StrOrPromise

SIDE: Final = 400  # units of a chart's width and height
_MOST_ROWS: Final = 12
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_SHARES: Final[dict[str, StrOrPromise]] = {
    "selective_sensitivity": gettext_lazy("Sensitivity among the decided"),
    "selective_specificity": gettext_lazy("Specificity among the decided"),
    "sensitivity_deferred_missed": gettext_lazy("Sensitivity, left to a human counted as missed"),
    "sensitivity_deferred_referred": gettext_lazy(
        "Sensitivity, left to a human counted as referred"
    ),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: `points` as SVG wants them, ``x,y x,y``, y downwards; dashed where the second."""

    name: StrOrPromise
    points: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture with its words, and the table behind it.

    `diagonal`: a line of equal x and y helps to read it.
    """

    key: str
    title: StrOrPromise
    about: StrOrPromise
    x: StrOrPromise
    y: StrOrPromise
    lines: tuple[Line, ...]
    header: tuple[StrOrPromise, ...]
    rows: tuple[tuple[str, ...], ...]
    diagonal: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of counts, each row with its name in front."""

    header: tuple[StrOrPromise, ...]
    rows: tuple[tuple[str, ...], ...]


def charts(test: dict[str, Any]) -> tuple[Chart, ...]:
    """Return the charts that the test figures suffice for. Raises ValueError, TypeError, KeyError.

    These are what a bundle of another make may hold in their place.
    """
    curves = test.get("curves") or {}
    found = []
    if curves.get("roc"):
        found.append(_roc(curves["roc"]))
    if bins := ((test.get("calibration") or {}).get("after") or {}).get("bins"):
        found.append(_reliability(bins))
    if curves.get("risk_coverage"):
        found.append(_risk(curves["risk_coverage"]))
    if curves.get("decision"):
        found.append(_decision(curves["decision"]))
    return tuple(found)


def gate(test: dict[str, Any]) -> Table | None:
    """Return how many each threshold decides, the deferred in columns of their own."""
    rows = _by_threshold(test)
    if not rows:
        return None
    header = (
        gettext_lazy("Sure to at least"),
        gettext_lazy("Decided"),
        gettext_lazy("Malignant: told as malignant"),
        gettext_lazy("Malignant: left to a human"),
        gettext_lazy("Malignant: told as benign"),
        gettext_lazy("Benign: told as benign"),
        gettext_lazy("Benign: left to a human"),
        gettext_lazy("Benign: told as malignant"),
    )
    sides = ("decided_malignant", "deferred", "decided_benign")
    return Table(
        header,
        tuple(
            (
                _threshold(row),
                figure(row["coverage"]),
                *(_count(row["malignant"][side]) for side in sides),
                *(_count(row["benign"][side]) for side in reversed(sides)),
            )
            for row in rows
        ),
    )


def gate_shares(test: dict[str, Any]) -> Table | None:
    """Return what share of the malignant and the benign each threshold is right about.

    Never without the share that it decides, and the deferred counted both ways.
    """
    rows = _by_threshold(test)
    known = [name for name in _SHARES if rows and all(name in row for row in rows)]
    if not known:
        return None
    return Table(
        (
            gettext_lazy("Sure to at least"),
            gettext_lazy("Decided"),
            *(_SHARES[name] for name in known),
        ),
        tuple(
            (_threshold(row), *(_share(row, name) for name in ("coverage", *known))) for row in rows
        ),
    )


def _by_threshold(test: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(test.get("gate") or (), key=lambda row: row["threshold"], reverse=True)


def _count(photos: int) -> str:
    return number_format(photos, force_grouping=True)


def _threshold(row: Mapping[str, Any]) -> str:
    told = row["threshold"]
    return decimal(told, 4 if round(told, 3) != told else 3)


def _share(row: Mapping[str, Any], name: str) -> str:
    return figure({"value": row[name], "ci": (row.get("ci") or {}).get(name)})


def figure(found: Mapping[str, Any] | float | None, *, signed: bool = False) -> str:
    """Return a figure with its interval, where it has one; a dash where there is none."""
    known: Mapping[str, Any] = found if isinstance(found, Mapping) else {"value": found}
    if known["value"] is None:
        return "–"
    ci = known.get("ci") or []
    ends = [known["value"], *([] if None in ci else ci)]
    value, *interval = (
        ("+" if signed and round(end, 3) > 0 else "") + decimal(end, 3) for end in ends
    )
    if not interval:
        return value
    told = _("%(value)s (%(low)s to %(high)s)") % {
        "value": value,
        "low": interval[0],
        "high": interval[1],
    }
    first, *rest = told.split()  # a narrow column breaks before the interval, and not within it
    return f"{first} {_NO_BREAK.join(rest)}"


def confusion(test: dict[str, Any], names: dict[str, StrOrPromise]) -> Table | None:
    """Return counts, true class by most probable class; `names` in words, by code."""
    counts, codes = test.get("confusion"), list(test.get("classes") or ())
    if not counts or len(counts) != len(codes):
        return None
    words = [names.get(code, code) for code in codes]
    return Table(
        (gettext_lazy("True class"), *words),
        tuple((str(name), *map(_count, row)) for name, row in zip(words, counts, strict=True)),
    )


def _roc(curves: dict[str, Sequence[Sequence[float]]]) -> Chart:
    words = {
        "melanoma": gettext_lazy("Melanoma told from the rest"),
        "malignant": gettext_lazy("Malignant told from benign"),
    }
    known = [(words[task], points) for task, points in curves.items() if task in words]
    return Chart(
        key="roc",
        title=gettext_lazy("Found against flagged in vain"),
        about=gettext_lazy("The nearer a curve comes to the upper left corner, the better."),
        x=gettext_lazy("Others flagged in vain"),
        y=gettext_lazy("Malignant ones found"),
        lines=tuple(Line(name, _points(points)) for name, points in known),
        header=(
            gettext_lazy("Others flagged in vain"),
            *(name for name, _ in known),
        ),
        rows=tuple(
            (decimal(at, 2), *(decimal(_reach(points, at), 2) for _, points in known))
            for at in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
        ),
        diagonal=True,
    )


def _reliability(bins: Sequence[Sequence[float]]) -> Chart:
    points = [(mean, share) for mean, share, _ in bins]
    return Chart(
        key="reliability",
        title=gettext_lazy("Said against happened"),
        about=gettext_lazy("On the diagonal, 20 in 100 means that 20 of 100 were malignant."),
        x=gettext_lazy("Probability told"),
        y=gettext_lazy("Share that was malignant"),
        lines=(Line(gettext_lazy("After calibration"), _points(points)),),
        header=(gettext_lazy("Probability told"), gettext_lazy("Share that was malignant")),
        rows=_rows(points),
        diagonal=True,
    )


def _risk(points: Sequence[Sequence[float]]) -> Chart:
    return Chart(
        key="risk",
        title=gettext_lazy("Wrong among the decided"),
        about=gettext_lazy("The more it leaves to a human, the fewer of its answers are wrong."),
        x=gettext_lazy("Share decided"),
        y=gettext_lazy("Share wrong"),
        lines=(Line(gettext_lazy("Wrong answers"), _points(points)),),
        header=(gettext_lazy("Share decided"), gettext_lazy("Share wrong")),
        rows=_rows(points),
    )


def _decision(points: Sequence[Mapping[str, float]]) -> Chart:
    """Draw net benefit from 0 up to the best that there is; what is below 0 lies on the axis."""
    words = {
        "model": gettext_lazy("Show whom the model points out"),
        "everybody": gettext_lazy("Show everybody"),
    }
    widest = max(point["threshold"] for point in points)
    top = max(0.01, *(point[name] for point in points for name in words))
    every = max(1, len(points) // _MOST_ROWS)
    return Chart(
        key="decision",
        title=gettext_lazy("What it is worth to follow it"),
        about=gettext_lazy(
            "Malignant ones shown to a doctor, less the others shown in vain, weighed by how sure"
            " one wants to be before going. 0 is to show nobody; the higher, the better."
        ),
        x=_("Probability from which one would go, up to %(end)s") % {"end": decimal(widest, 2)},
        y=_("Net benefit for each photo, up to %(end)s") % {"end": decimal(top, 2)},
        lines=tuple(
            Line(
                words[name],
                _points(
                    (point["threshold"] / widest, max(0.0, point[name] / top)) for point in points
                ),
            )
            for name in words
        ),
        header=(gettext_lazy("Probability from which one would go"), *words.values()),
        rows=tuple(
            (
                decimal(point["threshold"], 2),
                *(decimal(point[name], 3) for name in words),
            )
            for point in points[::every]
        ),
    )


def _points(points: Iterable[Sequence[float]]) -> str:
    return " ".join(f"{SIDE * x:.1f},{SIDE * (1 - y):.1f}" for x, y in points)


def _rows(points: Sequence[Sequence[float]]) -> tuple[tuple[str, ...], ...]:
    every = max(1, len(points) // _MOST_ROWS)
    return tuple((decimal(x, 2), decimal(y, 2)) for x, y in points[::every])


def _reach(points: Sequence[Sequence[float]], at: float) -> float:
    """Return the highest y up to x = `at`."""
    return max((y for x, y in points if x <= at), default=0.0)
