"""The figures of a report as SVG: the same numbers always give the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

_STYLE: Final[dict[Any, Any]] = {"svg.hashsalt": "dermai", "svg.fonttype": "none", "font.size": 9}
_INK: Final = "#1f4e5f"
_SIZE: Final = (4.2, 3.6)
_DPI: Final = 110


def write(test: dict[str, Any], folder: Path) -> None:
    """Write the pictures of a test report, as SVG and PNG.

    Confusion, ROC, reliability, risk and coverage; the decision curve, which first bundles lack.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        _save(_confusion(test["confusion"], list(test["classes"])), folder / "confusion")
        _save(_roc(test["curves"]["roc"]), folder / "roc")
        _save(_reliability(test["calibration"]), folder / "reliability")
        _save(_risk_coverage(test["curves"]["risk_coverage"]), folder / "risk-coverage")
        if "decision" in test["curves"]:
            _save(_decision(test["curves"]["decision"]), folder / "decision")


def _confusion(counts: list[list[int]], names: list[str]) -> Figure:
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.subplots()
    table = np.array(counts)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        pale = share[row, column] > 0.5  # noqa: PLR2004 - white on the dark half
        colour = "white" if pale else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=7)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="most probable class", ylabel="true class")
    return figure


def _roc(curves: dict[str, list[list[float]]]) -> Figure:
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.subplots()
    for (name, points), style in zip(curves.items(), ("-", "--"), strict=False):
        axes.plot(*np.array(points).T, style, color=_INK, label=name)
    axes.plot([0, 1], [0, 1], ":", color="gray", linewidth=1)
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", aspect="equal")
    axes.legend(loc="lower right")
    return figure


def _reliability(calibration: dict[str, Any]) -> Figure:
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ":", color="gray", linewidth=1)
    for name, style in (("before", "x"), ("after", "o-")):
        bins = np.array(calibration[name]["bins"])
        axes.plot(bins[:, 0], bins[:, 1], style, color=_INK, markersize=4, label=f"{name} scaling")
    axes.set(xlabel="p(malignant), mean of bin", ylabel="share malignant", aspect="equal")
    axes.legend(loc="upper left")
    return figure


def _risk_coverage(points: list[list[float]]) -> Figure:
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.plot(*np.array(points).T, color=_INK)
    axes.set(xlabel="coverage", ylabel="error rate among the decided", xlim=(0, 1), ylim=(0, None))
    return figure


def _decision(points: list[dict[str, float]]) -> Figure:
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.subplots()
    threshold = [point["threshold"] for point in points]
    for name, style in (("model", "-"), ("everybody", "--")):
        axes.plot(threshold, [p[name] for p in points], style, color=_INK, label=f"refer: {name}")
    axes.axhline(0, color="gray", linewidth=1, linestyle=":", label="refer: nobody")
    top = max(max(point["model"], point["everybody"]) for point in points)
    axes.set(xlabel="p(malignant) at which one refers", ylabel="net benefit per photo")
    axes.set_ylim(-0.25 * max(top, 0.01), 1.1 * max(top, 0.01))
    axes.legend(loc="upper right")
    return figure


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(f"{path}.svg", format="svg", metadata={"Date": None, "Creator": None})
    figure.savefig(f"{path}.png", format="png", dpi=_DPI, metadata={"Software": None})
