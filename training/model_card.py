"""The model card (Mitchell 2019) with the facts label (Sendak 2020), written from a manifest.

Every number in it is read from the manifest: none is typed here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from training import beside

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inference_worker.manifest import Manifest

_CAVEATS = """\
- Research use only. Not a medical device. It does not diagnose and does not rule out skin cancer.
- The training photos are mostly of light skin and carry no skin type: it is less reliable on brown
  and black skin, nails, palms and soles, and how much less is unknown here.
- Dermoscopic photos only. Any other photo is always deferred to a human.
- The photos come from few clinics and devices. Other devices, lighting and populations shift the
  figures; nothing below was measured prospectively.
- A deferred case is neither caught nor missed. No gated figure means anything without its coverage.
- See a doctor for a new or changing mole, or one that bleeds, crusts or itches, whatever it says.
"""


def render(manifest: Manifest, pictures: str) -> str:
    """Return the model card as Markdown; `pictures` is the folder of its figures, from the card."""
    test = manifest.metrics["test"]
    parts = [
        f"# Model card: {manifest.name} {manifest.version}",
        _facts(manifest),
        "## When not to use it\n\n" + _CAVEATS,
        _data(manifest.training),
        _full_coverage(test, pictures),
        _beside(manifest.metrics.get(beside.KEY)),
        _gate(manifest, test, pictures),
        _calibration(manifest, test, pictures),
        _comparisons(test),
        _confusion(test, pictures),
        _segmentation(manifest.metrics.get("segmentation", {})),
        _refusals(manifest),
        _subgroups(test["subgroups"]),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _facts(manifest: Manifest) -> str:
    classifier, made = manifest.classifier, manifest.training
    steps = ", ".join(step.step for step in manifest.preprocessing) or "none"
    kinds = Counter(classifier.architecture_of(member).name for member in classifier.members)
    members = " and ".join(f"{count} × {name}" for name, count in kinds.items())
    what = f"{members}, {classifier.input.size} px, {len(manifest.views)} views each"
    starts = made.get("initial_weights") or ["random"]
    starts = [starts] if isinstance(starts, str) else starts
    trained = (
        f"seeds {', '.join(map(str, made.get('seeds', [])))}; "
        f"{made.get('photos_drawn_per_member')} photos drawn per member; "
        f"trunks start from {', '.join(f'`{name}`' for name in starts)}"
    )
    source = (
        f"{manifest.created}, recipe `{made.get('recipe')}` "
        f"(SHA-256 {str(made.get('recipe_sha256'))[:12]}…)"
    )
    rows = [
        ("What it is", what),
        ("Use", manifest.intended_use),
        ("Says", ", ".join(classifier.outputs)),
        ("Preprocessing", steps),
        ("Trained", trained),
        ("Made", source),
        ("Licence", manifest.licence),
    ]
    if precision := manifest.metrics.get("evaluated_in"):
        off = _number(manifest.metrics["served_max_difference_of_p"])
        how = f"in {precision}; the worker differed by at most {off} in p(malignant)"
        rows.append(("Measured", how))
    return "## Facts\n\n" + _table(("", ""), rows)


def _data(made: dict[str, Any]) -> str:
    rows = [
        (entry["name"], entry["licence"], entry.get("images", ""), entry.get("lesions", ""))
        for entry in made.get("data", [])
    ]
    text = (
        "Split by lesion, stratified by diagnosis: no lesion stands on two sides. The test part was"
        " read once for this version, after everything else had been fixed. Each member leaves one"
        " fold of the development part out; temperature, gate and limits are fitted on these folds."
        f" SHA-256 of the split: `{made.get('data_manifest_sha256')}`."
    )
    header = ("data set", "licence", "photos trained on", "lesions")
    return f"## Data\n\n{text}\n\n" + _table(header, rows)


def _full_coverage(test: dict[str, Any], pictures: str) -> str:
    names = {
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
    prevalence = test["prevalence"]
    text = (
        f"{test['n_images']} photos of {test['n_lesions']} lesions; prevalence of"
        f" {', of '.join(f'{task} {_percent(share)}' for task, share in prevalence.items())}."
        " 95% intervals by bootstrap over lesions."
    )
    rows = [(label, _figure(test[name])) for name, label in names.items() if name in test]
    picture = f"![ROC curves]({pictures}/roc.svg)"
    if "decision" in test["curves"]:
        picture += f"\n\n![Decision curve]({pictures}/decision.svg)"
    table = _table(("", "value (95% CI)"), rows)
    return f"## Test, all photos decided\n\n{text}\n\n{table}\n\n{picture}"


def _beside(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    rows = [
        (name.replace("_", " "), _figure(honest), _figure(found["by_image"][name]))
        for name, honest in found["by_lesion"].items()
    ]
    who = "One member alone, the first" if found["members"] == 1 else "The ensemble"
    text = (
        "The same recipe split photo by photo, as is common: photos of one lesion stand on both"
        " sides, and what is learnt by heart counts as known. The test parts are not the same"
        " photos: a difference within the intervals says nothing."
        f" {who}, each on its own test part."
    )
    table = _table(("", "by lesion", "by image"), rows)
    return f"## How much an image-random split flatters\n\n{text}\n\n{table}"


def _gate(manifest: Manifest, test: dict[str, Any], pictures: str) -> str:
    header = (
        "threshold",
        "coverage",
        "benign: decided benign",
        "deferred",
        "decided malignant",
        "malignant: decided benign",
        "deferred",
        "decided malignant",
        "selective sensitivity",
        "selective specificity",
        "sensitivity, deferred missed",
        "sensitivity, deferred referred",
    )
    rows = [
        (
            f"{row['threshold']:.4g}",
            _percent(row["coverage"]),
            *row["benign"].values(),
            *row["malignant"].values(),
            *(
                _percent(row[name])
                for name in (
                    "selective_sensitivity",
                    "selective_specificity",
                    "sensitivity_deferred_missed",
                    "sensitivity_deferred_referred",
                )
            ),
        )
        for row in test["gate"]
    ]
    controlled = manifest.gate.risk_controlled
    certified = (
        "No threshold could be certified out-of-fold."
        if controlled is None
        else (
            f"Certified out-of-fold: at {controlled.threshold:.4g} malignant lesions decided benign"
            f" are at most {_percent(controlled.alpha)} of all malignant ones, with"
            f" {_percent(1 - controlled.delta)} confidence; {_percent(controlled.coverage)} of the"
            " out-of-fold lesions, by their first photo, are decided."
        )
    )
    active = f"Active gate: **{manifest.gate.active}**, threshold {manifest.gate.threshold:.4g}."
    picture = f"![Risk and coverage]({pictures}/risk-coverage.svg)"
    return f"## At the gate\n\n{active} {certified}\n\n{_table(header, rows)}\n\n{picture}"


def _calibration(manifest: Manifest, test: dict[str, Any], pictures: str) -> str:
    found = test["calibration"]
    rows = [
        (
            name,
            _figure(found[name]["ece"]),
            _number(found[name]["brier"], 4),
            _number(found[name]["nll"], 4),
            _number(found[name]["nll_seven_classes"], 4),
        )
        for name in ("before", "after")
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
    return f"## Calibration\n\n{text}\n\n{_table(header, rows)}\n\n{picture}"


def _comparisons(test: dict[str, Any]) -> str:
    found = test["comparisons"]
    names = {
        "ensemble_minus_best_member": f"ensemble − member {found['best_member']}, best out-of-fold",
        "tta_minus_none": "all views − the photo as it stands",
    }
    aucs = list(test["members"][0])
    rows = [(label, *(_figure(found[name][auc]) for auc in aucs)) for name, label in names.items()]
    rows += [
        (f"member {i} alone", *(_number(one[auc], 4) for auc in aucs))
        for i, one in enumerate(test["members"])
    ]
    header = ("", *(auc.replace("_auc", " AUC") for auc in aucs))
    return "## What the ensemble and the views add\n\n" + _table(header, rows)


def _confusion(test: dict[str, Any], pictures: str) -> str:
    names = list(test["classes"])
    rows = [(f"**{name}**", *row) for name, row in zip(names, test["confusion"], strict=True)]
    table = _table(("true \\ most probable", *names), rows)
    return f"## Confusion\n\n{table}\n\n![Confusion matrix]({pictures}/confusion.svg)"


def _segmentation(found: dict[str, Any]) -> str:
    if not found:
        return ""
    rows = [
        (
            name,
            figures["n_images"],
            *(
                _number(figures[which][k], 3)
                for which in ("dice", "iou")
                for k in ("mean", "median", "p5")
            ),
            _number(figures["thresholded_jaccard"], 3),
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
    return "## Lesion outline\n\n" + _table(header, rows)


def _refusals(manifest: Manifest) -> str:
    found = manifest.metrics.get("ood")
    if not found:
        return ""
    rows = [(kind, _percent(share)) for kind, share in found["impostors_refused"].items()]
    rows.append(("real test photos", _percent(1 - found["test_photos_passed"])))
    limits = manifest.quality
    text = (
        f"Out-of-distribution limit {found['limit']:.3f}. Quality limits: short side"
        f" {limits.min_short_side} px, sharpness {limits.min_sharpness:.3g}, brightness"
        f" {limits.min_brightness:.2f} to {limits.max_brightness:.2f}, lesion"
        f" {_percent(limits.min_lesion_share)} of the frame."
    )
    return f"## What it refuses\n\n{text}\n\n{_table(('drawn picture', 'refused'), rows)}"


def _subgroups(found: dict[str, dict[str, Any]]) -> str:
    rows = [
        (trait, value, one["n"], one["malignant"], _number(one["malignant_auc"], 3))
        for trait, values in found.items()
        for value, one in values.items()
    ]
    text = "Groups of at least 30 photos with both kinds in them. Skin type is labelled nowhere."
    header = ("", "group", "photos", "malignant", "malignant AUC")
    return f"## Subgroups\n\n{text}\n\n{_table(header, rows)}"


def _table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _figure(figure: dict[str, Any]) -> str:
    if "ci" not in figure:
        return _number(figure["value"])
    low, high = figure["ci"]
    return f"{_number(figure['value'])} ({_number(low)} to {_number(high)})"


def _number(value: float | None, places: int = 4) -> str:
    """Return a number; what could not be computed is a dash."""
    return "–" if value is None else f"{value:.{places}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"
