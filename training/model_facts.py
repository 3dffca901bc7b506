"""The Model Facts label (Sendak 2020): one page for the person who decides whether to use it.

Every number in it is read from the manifest: none is typed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training import card_figures, markdown
from training import gate as gates

if TYPE_CHECKING:
    from inference_worker.manifest import Manifest

_WHEN_NOT = """\
- To decide against seeing a doctor. A benign answer does not rule out skin cancer.
- On photos that were not taken through a dermatoscope.
- On brown or black skin, nails, palms, soles or mucosa without knowing that it was hardly trained
  on them: how much less reliable it is there is unknown.
- On anything but the lesions that it was trained on; for children; to follow a treatment.
- As the only reader, or where nobody can look at what it defers."""

_WARNINGS = """\
Research use only, not a medical device. Not evaluated prospectively. Trained on photos of few
clinics and devices; prevalence there is far above that among people who look at their own skin, so
that a probability told here is too high for them. A deferred case is neither caught nor missed."""


def render(manifest: Manifest) -> str:
    """Return the label as Markdown."""
    test = manifest.metrics["test"]
    gate = _active(manifest)
    rows = [
        ("Name", f"{manifest.name} {manifest.version}, {manifest.created}"),
        ("Says", ", ".join(manifest.classifier.outputs)),
        ("From", "one dermoscopic photo; nothing else is known to it"),
        ("Tested on", f"{test['n_images']} photos of {test['n_lesions']} lesions, none trained on"),
        *((f"Prevalence, {task}", markdown.percent(p)) for task, p in test["prevalence"].items()),
        *(
            (label, markdown.figure(test[name], 3))
            for name, label in (
                ("melanoma_auc", "AUC, melanoma vs rest"),
                ("malignant_auc", "AUC, malignant vs benign"),
                ("malignant_sensitivity_at_90_specificity", "Sensitivity at 90% specificity"),
            )
            if name in test
        ),
        ("Calibration error (ECE)", markdown.figure(test["calibration"]["after"]["ece"], 3)),
        (f"Decides, at {gate['threshold']:.4g}", _coverage(gate)),
        ("Malignant: decided malignant", gate["malignant"]["decided_malignant"]),
        ("Malignant: left to a human", gate["malignant"]["deferred"]),
        ("Malignant: decided benign (missed)", gate["malignant"]["decided_benign"]),
        ("Certified bound", card_figures.certificate(manifest)),
    ]
    return (
        f"# Model facts: {manifest.name} {manifest.version}\n\n{markdown.table(('', ''), rows)}\n\n"
        f"## When to use it\n\n{manifest.intended_use}\n\n"
        "## How to use it\n\nTake the photo through a dermatoscope, sharp and evenly lit, the whole"
        " lesion in the frame. Read the sentence, not the number. What it defers, a dermatologist"
        " looks at; anybody may ask for a human at any time. Whatever it says, a mole that is new,"
        " changes, is unlike all the others, bleeds, crusts or itches is for a doctor.\n\n"
        f"## When not to use it\n\n{_WHEN_NOT}\n\n## Warnings\n\n{_WARNINGS}\n\n"
        f"Licence of the weights: {manifest.licence}.\n"
    )


def _coverage(row: dict[str, Any]) -> str:
    ci = gates.with_intervals(row)["ci"]["coverage"]
    return markdown.share({"value": row["coverage"], "ci": ci})


def _active(manifest: Manifest) -> dict[str, Any]:
    """Return the gate's row at the active threshold, or at the nearest that was measured."""
    rows: list[dict[str, Any]] = manifest.metrics["test"]["gate"]
    return min(rows, key=lambda row: abs(row["threshold"] - manifest.gate.threshold))
