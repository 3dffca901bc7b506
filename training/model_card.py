"""The model card (Mitchell 2019) with the facts label (Sendak 2020), written from a manifest.

Every number in it is read from the manifest: none is typed here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from training import begun, beside, card_figures, card_limits, metrics, robustness
from training.markdown import figure, number, table

if TYPE_CHECKING:
    from inference_worker.manifest import Manifest

_CAVEATS = """\
- Research use only. Not a medical device. It does not diagnose and does not rule out skin cancer.
- The training photos are mostly of light skin and carry no skin type: it is less reliable on brown
  and black skin, nails, palms and soles, and how much less is unknown here.
- Dermoscopic photos only. Any other photo is always deferred to a human.
- The photos come from few clinics and devices. Other devices, lighting and populations shift the
  figures; nothing below was measured prospectively.
- A deferred case is neither caught nor missed. No gated figure means anything without its coverage.
- Whatever it says, these are for a doctor: a mole that is new or changes; that bleeds, crusts or
  itches; that looks unlike all the others (the ugly duckling); that is **a**symmetric, has an
  uneven **b**order or several **c**olours, is wider than 6 mm in **d**iameter or **e**volves
  (ABCDE).
- Anybody may ask for a human, at every upload and beside every result. It is no substitute for one.
"""

_BY_LESION = "Split by lesion, stratified by diagnosis: no lesion stands on two sides."
_BY_IMAGE = """\
**Split photo by photo**, stratified by diagnosis: photos of one lesion stand on both sides, which \
flatters every figure below. It is made to be put beside a split by lesion, not to be used.\
"""


def render(manifest: Manifest, pictures: str) -> str:
    """Return the model card as Markdown; `pictures` is the folder of its figures, from the card."""
    test = manifest.metrics["test"]
    parts = [
        f"# Model card: {manifest.name} {manifest.version}",
        _facts(manifest),
        "## When not to use it\n\n" + _CAVEATS,
        _data(manifest.training, read_again=metrics.READ_AGAIN in manifest.metrics),
        card_figures.full_coverage(test, pictures),
        card_figures.beside(manifest.metrics.get(beside.KEY)),
        card_figures.at_the_gate(manifest, test, pictures),
        card_figures.calibration(manifest, test, pictures),
        card_figures.comparisons(manifest, test),
        card_figures.confusion(test, pictures),
        card_limits.segmentation_section(manifest.metrics.get("segmentation", {})),
        card_limits.refusals_section(manifest),
        card_limits.robustness_section(manifest.metrics.get(robustness.KEY)),
        card_limits.subgroups_section(test["subgroups"]),
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
    if before := made.get("begun_with"):
        trained += (
            f"; went on from the weights that {before['name']} {before['version']} stores "
            f"(SHA-256 {before['sha256'][:12]}…)"
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
        how = f"in {precision}"
        if (off := manifest.metrics.get("served_max_difference_of_p")) is not None:
            how += f"; the worker differed by at most {number(off)} in p(malignant)"
        rows.append(("Measured", how))
    if stored := manifest.metrics.get("storage"):
        rows.append(("Weights", _stored(stored)))
    return "## Facts\n\n" + table(("", ""), rows)


def _stored(found: dict[str, Any]) -> str:
    """Return how the weights are kept, and what that costs."""
    changes = [
        f"the AUC of {task} by {figure(found[f'{task}_auc'], signed=True)}"
        for task in ("melanoma", "malignant")
        if f"{task}_auc" in found
    ]
    return (
        f"kept as {found['kept_as']}; for the first member alone, on the {found['n_images']} photos"
        " of the fold that it left out, as they stand, that changes a probability by at most"
        f" {number(found['max_change_of_p'])}, {' and '.join(changes)}"
    )


def _data(made: dict[str, Any], *, read_again: bool) -> str:
    rows = [
        (entry["name"], entry["licence"], _count(entry, "images"), _count(entry, "lesions"))
        for entry in made.get("data", [])
    ]
    # Bundles made before splits by image were there say nothing: theirs were by lesion.
    by_image = (made.get("split") or {}).get("by") == "image"
    often = "again to measure more, never to choose," if read_again else "once"
    text = (
        f"{_BY_IMAGE if by_image else _BY_LESION} The test part was read {often} for this version,"
        " after everything else had been fixed. It is the same part for every version of a recipe"
        " with this split: who chose what this one tries knew how those before it did there. Each"
        " member leaves one fold of the development part out; temperature, gate and limits are"
        " fitted on these folds."
        f" SHA-256 of the split: `{made.get('data_manifest_sha256')}`."
    )
    if silent := made.get(begun.NOT_KNOWN):
        text += (
            f" From which photos {', '.join(silent)} came is not known: the weights do not say, so"
            " nothing shows that they were trained on no photo of the test part."
        )
    header = ("data set", "licence", "photos trained on", "lesions")
    notes = [
        f"{entry['name']}: {entry['note']}" for entry in made.get("data", []) if "note" in entry
    ]
    return "\n\n".join([f"## Data\n\n{text}", table(header, rows), *notes])


def _count(entry: dict[str, Any], what: str) -> str:
    """Return a count of a data set; older bundles do not have each."""
    count = entry.get(what, "")
    return "not known" if count is None else str(count)
