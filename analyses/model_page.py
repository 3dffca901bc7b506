"""The Model page: a bundle's own account of itself, read from its `bundle.json`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses import (
    model_charts,
    model_figures,
    model_limits,
    model_origin,
    model_outputs,
    model_parts,
    wording,
)

if TYPE_CHECKING:
    from pathlib import Path

    from django_stubs_ext import StrOrPromise


_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class ModelPage:
    """All that the page says of the active bundle."""

    name: str
    version: str
    sha256: str
    created: str
    licence: str
    intended_use: str
    members: int
    architecture: str
    views: int
    gate: StrOrPromise
    threshold: int
    certified: bool
    segmenter: bool
    outputs: tuple[model_outputs.Answer, ...]
    measured: str
    prevalence: str
    bound: str
    metrics: tuple[model_figures.Metric, ...]
    data: tuple[model_origin.DataSource, ...]
    calibration: model_charts.Table | None
    charts: tuple[model_charts.Chart, ...]
    gate_table: model_charts.Table | None
    gate_shares: model_charts.Table | None
    confusion: model_charts.Table | None
    added: model_charts.Table | None
    refusals: model_charts.Table | None
    outline: model_charts.Table | None
    groups: model_charts.Table | None
    worse_photos: model_limits.Measured | None
    leak: model_limits.Measured | None


def model_page(folder: Path) -> ModelPage | None:
    """Read the bundle in `folder`; None where there is none that can be read.

    Figures steer nothing, so a model works without: those that cannot be read are left out.
    """
    try:
        raw = (folder / "bundle.json").read_bytes()
        bundle = json.loads(raw)
        sha256 = hashlib.sha256(raw).hexdigest()
        bare = _page({**bundle, "metrics": {}}, sha256)
    except (OSError, *_UNREADABLE):
        return None
    try:
        return _page(bundle, sha256)
    except _UNREADABLE:
        return bare


def _page(bundle: dict[str, Any], sha256: str) -> ModelPage:
    classifier, gate = bundle["classifier"], bundle["gate"]
    active = gate.get(gate["active"]) or gate["fixed"]
    metrics = bundle.get("metrics") or {}
    test = metrics.get("test") or {}
    members, views = len(classifier["members"]), len(bundle.get("views") or ["identity"])
    answers = model_outputs.answers(classifier)
    return ModelPage(
        name=str(bundle["name"]),
        version=str(bundle["version"]),
        sha256=sha256,
        created=str(bundle.get("created", "")),
        licence=str(bundle.get("licence", "")),
        intended_use=str(bundle.get("intended_use", "")),
        members=members,
        architecture=_architectures(classifier),
        views=views,
        gate=wording.gate_name(gate["active"]),
        threshold=wording.per_hundred(float(active["threshold"])),
        certified=bool(gate.get("risk_controlled")),
        segmenter=bool(bundle.get("segmenter")),
        outputs=answers,
        measured=model_origin.measured(bundle),
        prevalence=model_origin.prevalence(test),
        bound=model_parts.bound(bundle),
        metrics=model_figures.of_test(test, float(active["threshold"]), len(answers)),
        data=model_origin.sources(bundle),
        calibration=model_parts.calibration(test, len(answers)),
        charts=model_charts.charts(test),
        gate_table=model_charts.gate(test),
        gate_shares=model_charts.gate_shares(test),
        confusion=model_charts.confusion(test, model_outputs.names(classifier)),
        added=model_parts.added(test, members=members, views=views),
        refusals=model_parts.refusals(metrics),
        outline=model_parts.outline(metrics.get("segmentation") or {}),
        groups=model_limits.groups(test),
        worse_photos=model_limits.worse_photos(metrics),
        leak=model_limits.leak(metrics),
    )


def _architectures(classifier: dict[str, Any]) -> str:
    """Return the members' networks by name: some may have their own."""
    default = classifier["architecture"]
    kinds = Counter(str((m.get("architecture") or default)["name"]) for m in classifier["members"])
    return ", ".join(
        f"{count} × {name}" if len(kinds) > 1 else name for name, count in kinds.items()
    )
