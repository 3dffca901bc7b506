"""What a model card says of the test part: figures, the gate, calibration, what the parts add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from training import gate
from training.markdown import figure, measured, percent, share, table

if TYPE_CHECKING:
    from inference_worker.manifest import Manifest

_FULL: Final = {
    "melanoma_auc": "ROC AUC, melanoma vs rest",
    "malignant_auc": "ROC AUC, malignant vs benign",
    "melanoma_ap": "average precision, melanoma",
    "malignant_ap": "average precision, malignant",
    "melanoma_sensitivity_at_90_specificity": "melanoma: sensitivity at 90% specificity",
    "melanoma_sensitivity_at_95_specificity": "melanoma: sensitivity at 95% specificity",
    "melanoma_specificity_at_95_sensitivity": "melanoma: specificity at 95% sensitivity",
    "malignant_sensitivity_at_90_specificity": "malignant: sensitivity at 90% specificity",
    "malignant_sensitivity_at_95_specificity": "malignant: sensitivity at 95% specificity",
    "malignant_specificity_at_95_sensitivity": "malignant: specificity at 95% sensitivity",
    "balanced_accuracy": "balanced accuracy, most probable class",
    "balanced_accuracy_prior_free": "balanced accuracy, class priors divided out",
    "accuracy": "accuracy of the most probable class",
}
_SHARES: Final = {
    "coverage": "coverage",
    "selective_sensitivity": "selective sensitivity",
    "selective_specificity": "selective specificity",
    "sensitivity_deferred_missed": "sensitivity, deferred missed",
    "sensitivity_deferred_referred": "sensitivity, deferred referred",
}


def full_coverage(test: dict[str, Any], pictures: str) -> str:
    """Return the figures of all test photos, each decided."""
    prevalence = test["prevalence"]
    text = (
        f"{test['n_images']} photos of {test['n_lesions']} lesions; prevalence of"
        f" {', of '.join(f'{task} {percent(part)}' for task, part in prevalence.items())}."
        " 95% intervals by bootstrap over lesions."
    )
    rows = [(label, figure(test[name])) for name, label in _FULL.items() if name in test]
    picture = f"![ROC curves]({pictures}/roc.svg)"
    if "decision" in test["curves"]:
        picture += f"\n\n![Decision curve]({pictures}/decision.svg)"
    figures = table(("", "value (95% CI)"), rows)
    return f"## Test, all photos decided\n\n{text}\n\n{figures}\n\n{picture}"


def beside(found: dict[str, Any] | None) -> str:
    """Return the figures of an image-random split beside the honest ones; nothing without them."""
    if found is None:
        return ""
    honest, flattered = found["by_lesion"], found["by_image"]
    # Bundles of an older make know no balanced accuracy of a single member.
    names = dict.fromkeys([*honest, *flattered, "balanced_accuracy"])
    rows = [
        (name.replace("_", " "), measured(honest, name), measured(flattered, name))
        for name in names
    ]
    who = "One member alone, the first" if found["members"] == 1 else "The ensemble"
    text = (
        "The same recipe split photo by photo, as is common: photos of one lesion stand on both"
        " sides, and what is learnt by heart counts as known. The test parts are not the same"
        " photos: a difference within the intervals says nothing."
        f" {who}, each on its own test part."
    )
    if "version" in found:
        text += (
            f" Measured with version {found['version']}, in both columns, and not anew with this"
            " one: a longer training may learn more by heart."
        )
    figures = table(("", "by lesion", "by image"), rows)
    return f"## How much an image-random split flatters\n\n{text}\n\n{figures}"


def at_the_gate(manifest: Manifest, test: dict[str, Any], pictures: str) -> str:
    """Return the gate's table, and of whom which bound is certified."""
    header = (
        "threshold",
        "benign: decided benign",
        "deferred",
        "decided malignant",
        "malignant: decided benign",
        "deferred",
        "decided malignant",
        *_SHARES.values(),
    )
    rows = [
        (
            f"{row['threshold']:.4g}",
            *row["benign"].values(),
            *row["malignant"].values(),
            *(share({"value": row[name], "ci": row["ci"].get(name)}) for name in _SHARES),
        )
        for row in map(gate.with_intervals, test["gate"])
    ]
    active = f"Active gate: **{manifest.gate.active}**, threshold {manifest.gate.threshold:.4g}."
    about = (
        "In brackets exact 95% intervals (Clopper–Pearson), photos taken as independent. Area under"
        f" the risk–coverage curve (AURC): {measured(test, 'aurc')}."
    )
    picture = f"![Risk and coverage]({pictures}/risk-coverage.svg)"
    return (
        f"## At the gate\n\n{active} {certificate(manifest)}\n\n{table(header, rows)}\n\n{about}"
        f"\n\n{picture}"
    )


def certificate(manifest: Manifest) -> str:
    """Return which bound is certified, of whom and at which temperature, and of whom it is not."""
    controlled = manifest.gate.risk_controlled
    if controlled is None:
        return "No threshold could be certified out-of-fold."
    seen = manifest.metrics.get("out_of_fold") or {}
    bound = (
        f"at {controlled.threshold:.4g} malignant lesions decided benign are at most"
        f" {percent(controlled.alpha)} of all malignant ones, with"
        f" {percent(1 - controlled.delta)} confidence"
    )
    found = seen.get("certified")
    if found is None:
        return (
            f"Certified of single members out of fold, at their own temperature: {bound};"
            f" {percent(controlled.coverage)} of the lesions, by their first photo, are decided."
            " The ensemble is served at a bolder temperature, of which this bound is not shown:"
            " `python -m training recertify` certifies it at that one."
        )
    ill = found["malignant"]
    rows = (manifest.metrics.get("test") or {}).get("gate") or ()
    measured = any(row["threshold"] == controlled.threshold for row in rows)
    on_test = (
        "What it did at this threshold on the test part stands below."
        if measured
        else "What it does at this threshold on the test part has not been measured."
    )
    coverage = share({"value": found["coverage"], "ci": found["ci"]["coverage"]})
    return (
        "Certified of single members, each on the fold that it left out and one photo a lesion, at"
        f" the temperature that is served ({seen['served_temperature']:.3f}): {bound}. There"
        f" {ill['decided_benign']} of {sum(ill.values())} were (upper bound"
        f" {percent(found['upper_bound'])}), and {coverage} of the lesions were decided."
        " The mean of all members cannot be certified so: every development lesion was trained on"
        f" by all of them but one. {on_test}"
    )


def calibration(manifest: Manifest, test: dict[str, Any], pictures: str) -> str:
    """Return how far probabilities can be taken at their word, before and after temperature."""
    found = test["calibration"]
    names = ("ece", "brier", "nll", "nll_seven_classes")
    rows = [
        (when, *(measured(found[when], name) for name in names)) for when in ("before", "after")
    ]
    header = (
        "temperature scaling",
        "ECE (15 equal-mass bins)",
        "Brier",
        "NLL",
        "NLL, seven classes",
    )
    text = f"p(malignant), temperature {manifest.temperature:.3f}, fitted out-of-fold."
    if bolder := manifest.metrics.get("sharpening"):
        slopes = bolder["members"]
        text += (
            " Out of fold one member judges a photo; the mean of all may be bolder. The members'"
            f" temperature of {manifest.temperature * bolder['ratio']:.3f} is therefore divided by"
            f" {bolder['ratio']:.3f}: on {bolder['n']} photos of {bolder['data']}, which no member"
            f" was trained on, the ensemble's calibration slope is {bolder['ensemble']:.3f}, that"
            f" of its members {sum(slopes) / len(slopes):.3f} on average."
        )
    picture = f"![Reliability]({pictures}/reliability.svg)"
    return f"## Calibration\n\n{text}\n\n{table(header, rows)}\n\n{picture}"


def comparisons(manifest: Manifest, test: dict[str, Any]) -> str:
    """Return what ensemble and views add, and each member's figures by its seed."""
    found, members = test["comparisons"], test["members"]
    names = {
        "ensemble_minus_best_member": f"ensemble − member {found['best_member']}, best out-of-fold",
        "tta_minus_none": "all views − the photo as it stands",
    }
    aucs = [name for name in members[0] if name.endswith("_auc")]
    added = table(
        ("", *(auc.replace("_auc", " AUC") for auc in aucs)),
        [
            (label, *(figure(found[name][auc], signed=True) for auc in aucs))
            for name, label in names.items()
        ],
    )
    figures = (*aucs, "balanced_accuracy")
    seeds = [member.seed for member in manifest.classifier.members]
    alone = table(
        (
            "member alone",
            "seed",
            *(name.replace("_auc", " AUC").replace("_", " ") for name in figures),
        ),
        [
            (position, seed, *(measured(one, name) for name in figures))
            for position, (seed, one) in enumerate(zip(seeds, members, strict=True))
        ],
    )
    return f"## What the ensemble and the views add\n\n{added}\n\n{alone}"


def confusion(test: dict[str, Any], pictures: str) -> str:
    """Return counts, true class × most probable class."""
    names = list(test["classes"])
    rows = [(f"**{name}**", *row) for name, row in zip(names, test["confusion"], strict=True)]
    counts = table(("true \\ most probable", *names), rows)
    return f"## Confusion\n\n{counts}\n\n![Confusion matrix]({pictures}/confusion.svg)"
