"""The Model page: a bundle's own account of itself, read from its `bundle.json`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses import model_charts, model_figures, model_limits, model_parts, wording

if TYPE_CHECKING:
    from pathlib import Path

    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class DataSource:
    """One data set that the model learned from."""

    name: str
    licence: str
    images: int | None
    lesions: int | None


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
    outputs: tuple[tuple[StrOrPromise, StrOrPromise], ...]
    test_images: int | None
    test_lesions: int | None
    bound: str
    metrics: tuple[model_figures.Metric, ...]
    outlines: tuple[model_figures.Outline, ...]
    data: tuple[DataSource, ...]
    charts: tuple[model_charts.Chart, ...]
    gate_table: model_charts.Table | None
    confusion: model_charts.Table | None
    added: model_charts.Table | None
    refusals: model_charts.Table | None
    groups: model_charts.Table | None
    worse_photos: model_limits.Measured | None
    leak: model_limits.Measured | None


def model_page(folder: Path) -> ModelPage | None:
    """Read the bundle in `folder`; None where there is none that can be read."""
    try:
        raw = (folder / "bundle.json").read_bytes()
        bundle = json.loads(raw)
        return _page(bundle, hashlib.sha256(raw).hexdigest())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _page(bundle: dict[str, Any], sha256: str) -> ModelPage:
    classifier, gate = bundle["classifier"], bundle["gate"]
    active = gate.get(gate["active"]) or gate["fixed"]
    metrics = bundle.get("metrics") or {}
    test = metrics.get("test") or {}
    return ModelPage(
        name=str(bundle["name"]),
        version=str(bundle["version"]),
        sha256=sha256,
        created=str(bundle.get("created", "")),
        licence=str(bundle.get("licence", "")),
        intended_use=str(bundle.get("intended_use", "")),
        members=len(classifier["members"]),
        architecture=_architectures(classifier),
        views=len(bundle.get("views") or ["identity"]),
        gate=wording.gate_name(gate["active"]),
        threshold=wording.per_hundred(float(active["threshold"])),
        certified=bool(gate.get("risk_controlled")),
        segmenter=bool(bundle.get("segmenter")),
        outputs=tuple(
            wording.CLASS_NAMES[code]
            for code in wording.CLASS_NAMES
            if code in classifier["outputs"]
        ),
        test_images=test.get("n_images"),
        test_lesions=test.get("n_lesions"),
        bound=model_parts.bound(bundle),
        metrics=model_figures.of_test(test, float(active["threshold"])),
        outlines=model_figures.outlines(metrics.get("segmentation") or {}),
        data=tuple(
            DataSource(
                model_figures.collection_name(str(source["name"])),
                str(source.get("licence", "")),
                source.get("images"),
                source.get("lesions"),
            )
            for source in (bundle.get("training") or {}).get("data") or ()
        ),
        charts=model_charts.charts(test),
        gate_table=model_charts.gate(test),
        confusion=model_charts.confusion(
            test, {code: name for code, (name, _about) in wording.CLASS_NAMES.items()}
        ),
        added=model_parts.added(test),
        refusals=model_parts.refusals(metrics),
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
