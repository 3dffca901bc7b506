"""What a model card says of the outline, of what is refused, of worse photos, of groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training import robustness
from training.markdown import NOT_MEASURED, figure, number, percent, share, table

if TYPE_CHECKING:
    from inference_worker.manifest import Manifest


def segmentation_section(found: dict[str, Any]) -> str:
    """Return the overlap with masks, per data set; nothing without a segmenter."""
    if not found:
        return ""
    rows = [
        (
            name,
            figures["n_images"],
            *(cell for which in ("dice", "iou") for cell in _spread(figures[which])),
            number(figures["thresholded_jaccard"], 3),
        )
        for name, figures in found.items()
    ]
    header = (
        "photos not trained on",
        "n",
        "Dice mean",
        "median",
        "5th percentile",
        "IoU mean",
        "median",
        "5th percentile",
        "thresholded Jaccard",
    )
    return "## Lesion outline\n\n" + table(header, rows)


def _spread(of: dict[str, Any]) -> tuple[str, str, str]:
    """Return mean, with its interval where it was taken, median and 5th percentile."""
    mean = figure({"value": of["mean"], "ci": of.get("ci")}, 3)
    return mean, number(of["median"], 3), number(of["p5"], 3)


def refusals_section(manifest: Manifest) -> str:
    """Return which shares of drawn pictures and of real photos are refused, and the limits."""
    found = manifest.metrics.get("ood")
    if not found:
        return ""
    rows = [(kind, percent(refused)) for kind, refused in found["impostors_refused"].items()]
    rows.append(("real test photos", percent(1 - found["test_photos_passed"])))
    limits = manifest.quality
    text = (
        f"Out-of-distribution limit {found['limit']:.3f}. Quality limits: short side"
        f" {limits.min_short_side} px (set, not fitted),"
        f" sharpness {limits.min_sharpness:.3g}, brightness"
        f" {limits.min_brightness:.2f} to {limits.max_brightness:.2f}, lesion"
        f" {percent(limits.min_lesion_share)} of the frame."
    )
    drawn = table(("drawn picture", "refused by its distribution"), rows)
    return f"## What it refuses\n\n{text}\n\n{_passed(manifest)}\n\n{drawn}"


def _passed(manifest: Manifest) -> str:
    """Return how many real test photos come through every check together."""
    found = manifest.metrics.get("refusals")
    if found is None:
        return f"Real test photos that pass every check together: {NOT_MEASURED}."
    reasons = ", ".join(f"{name} {count}" for name, count in found["reasons"].items()) or "none"
    return (
        f"Of {found['n_images']} real test photos {share(found['passed'])} pass every check of the"
        f" worker together (exact 95% interval). Refused: {reasons}."
    )


def robustness_section(found: dict[str, Any] | None) -> str:
    """Return the figures on worse photos; nothing where they were not taken."""
    return f"## Worse photos\n\n{robustness.tables(found)}" if found else ""


def subgroups_section(found: dict[str, dict[str, Any]]) -> str:
    """Return the AUC of each group of photos."""
    rows = [
        (trait, value, one["n"], one["malignant"], figure(one["malignant_auc"], 3))
        for trait, values in found.items()
        for value, one in values.items()
    ]
    text = (
        "Groups of at least 30 photos with both kinds in them; 95% intervals by bootstrap over"
        " lesions. Skin type is labelled nowhere."
    )
    header = ("", "group", "photos", "malignant", "malignant AUC (95% CI)")
    return f"## Subgroups\n\n{text}\n\n{table(header, rows)}"
