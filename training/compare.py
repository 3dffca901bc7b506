"""Two bundles on the same test part, and whether their difference is more than chance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from training import evaluate, gate, markdown, metrics

if TYPE_CHECKING:
    from pathlib import Path

    from inference_worker.manifest import Manifest
    from training.evaluate import Cases, Measure


class OtherTestError(ValueError):
    """The two bundles were not tested on the same photos."""


def compare(
    first: tuple[Manifest, Cases],
    second: tuple[Manifest, Cases],
    rounds: int = evaluate.ROUNDS,
) -> dict[str, Any]:
    """Return each figure of both, and their difference with its paired 95% interval.

    The resamples are of lesions and the same for both: what both find hard cancels out. An interval
    that leaves 0 out is a difference that chance hardly explains. Figures of single classes are
    left out where the two do not say the same classes. Raises `OtherTestError`.
    """
    a, b = first[1], second[1]
    if [r.image_id for r in a.records] != [r.image_id for r in b.records]:
        raise OtherTestError(
            f"{first[0].name!r} was tested on {len(a.labels)} photos, {second[0].name!r} on "
            f"{len(b.labels)}, and they are not the same: compare bundles of one split"
        )
    draws = metrics.bootstrap(a.lesions, rounds, evaluate.SEED)
    own, other = _measures(*first), _measures(*second)
    same = a.known.columns == b.known.columns
    shared = [name for name in own if name in other and (same or "accuracy" not in name)]
    figures = {}
    for name in shared:
        one, two = draws.sample(own[name]), draws.sample(other[name])
        figures[name] = {
            "first": one.figure(),
            "second": two.figure(),
            "difference": (one - two).figure(),
        }
    return {
        "first": f"{first[0].name} {first[0].version}",
        "second": f"{second[0].name} {second[0].version}",
        "n_images": len(a.labels),
        "n_lesions": len(set(a.lesions.tolist())),
        "figures": figures,
    }


def _measures(manifest: Manifest, cases: Cases) -> dict[str, Measure]:
    p = cases.calibrated()
    ill, score = cases.truth(), cases.score(p)
    threshold = manifest.gate.threshold
    return evaluate.measures_of(cases, p) | {
        "ece": lambda i: metrics.ece(ill[i], score[i]),
        "brier": lambda i: metrics.brier(ill[i], score[i]),
        "aurc": lambda i: metrics.aurc(ill[i], score[i]),
        "coverage": lambda i: gate.table(ill[i], score[i], threshold).coverage,
    }


def write(found: dict[str, Any], folder: Path) -> str:
    """Write compare.json and compare.md into `folder`; return the latter's text."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = metrics.plain(found)
    (folder / "compare.json").write_text(json.dumps(plain, indent=1) + "\n")
    rows = [
        (
            name,
            markdown.figure(one["first"]),
            markdown.figure(one["second"]),
            markdown.figure(one["difference"], signed=True),
        )
        for name, one in plain["figures"].items()
    ]
    text = (
        f"# {plain['first']} against {plain['second']}\n\n"
        f"{plain['n_images']} photos of {plain['n_lesions']} lesions; 95% intervals by bootstrap"
        " over lesions, paired for the difference.\n\n"
        + markdown.table(("", plain["first"], plain["second"], "difference"), rows)
        + "\n"
    )
    (folder / "compare.md").write_text(text)
    return text
