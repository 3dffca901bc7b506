"""From which photos a bundle's weights came, as far as that is known.

Photos are counted where the run trained the weights itself. Of weights that a bundle lent it is
kept what that bundle says: the same recipe may choose otherwise today. Weights that do not say by
what they were made came from photos that are not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training import begun, checkpoint, ended, masked, readers
from training.loop import FINAL

if TYPE_CHECKING:
    from inference_worker.manifest import Segmenter
    from training.dataset import Labelled
    from training.fit import Run
    from training.lent import Lent


@dataclass(frozen=True, slots=True)
class Learned:
    """What a bundle's weights came from.

    `data` names each data set, its licence, how many photos of it and of how many lesions: None
    where that is not known. `not_known` are the networks that came from photos not known.
    """

    data: list[dict[str, Any]]
    not_known: list[str]


def learned(run: Run, own: Labelled, others: Lent, segmenter: Segmenter | None) -> Learned:
    """Return what the run's weights came from, `segmenter` as it stands in the bundle."""
    recipe, before = run.recipe, begun.before(run.out)
    lent = before is not None and before.segmenter == (segmenter.sha256 if segmenter else None)
    not_known = _silent(run)
    if before is not None:
        # A segmenter is not trained further: it is the bundle's, or of a source that nobody noted.
        unet = {run.segmenter.name}
        not_known = (not_known - unet if lent else not_known | unet) | set(before.not_known)
    members = {run.member(fold).name for fold in range(len(recipe.seeds))}
    found = {
        name: _entry(run, name, None if members & not_known else lesions)
        for name, lesions in _of_members(run, own, others).items()
    }
    if recipe.segmenter is not None and (extra := recipe.segmenter.extra) and not lent:
        known = run.segmenter.name not in not_known
        found[extra] = _entry(run, extra, _of_segmenter(run, own, extra) if known else None)
    for entry in before.data if before else ():
        found[entry["name"]] = _more(found.get(entry["name"]), entry)
    return Learned(list(found.values()), sorted(not_known))


def _silent(run: Run) -> set[str]:
    """Return the networks whose ended weights do not say by what they were made."""
    parts = [run.member(fold) for fold in range(len(run.recipe.seeds))]
    parts += [run.segmenter] if run.recipe.segmenter else []
    return {p.name for p in parts if not ended.says(checkpoint.read_metadata(p / FINAL))}


def _of_members(run: Run, own: Labelled, others: Lent) -> dict[str, list[str]]:
    """Return the lesion of each photo that some member learns from, by data set.

    Where a data set knows no lesions, each photo counts as one.
    """
    recipe = run.recipe
    development = [own.records[i] for i in own.split.development]
    lesion = {record.image_id: record.lesion_id for record in development}
    found = {recipe.data.labelled: list(lesion.values())}
    if recipe.data.crops is not None:
        crops = readers.read(run.data, recipe.data.crops)
        found[recipe.data.crops] = [lesion[r.image_id] for r in crops if r.image_id in lesion]
    kept = others.trainable(own.split.test)
    named = {name.removeprefix(readers.FOLDER): name for name in recipe.data.further}
    for records, rows in zip((others.further, others.partial), kept, strict=True):
        for record in (records[i] for i in rows):
            name = named.get(record.source, record.source)
            found.setdefault(name, []).append(record.lesion_id)
    return found


def _of_segmenter(run: Run, own: Labelled, extra: str) -> list[str]:
    """Return the lesion of each photo of the set `extra` that the segmenter learns from."""
    if run.recipe.segmenter is None:
        return []
    parts = masked.masked(run.recipe, run.recipe.segmenter, own, run.data, few=run.few)
    return [record.lesion_id for record in parts.records if record.source == extra]


def _entry(run: Run, name: str, lesions: list[str] | None) -> dict[str, Any]:
    return {
        "name": name,
        "licence": run.recipe.licences.get(name, "unknown"),
        "images": None if lesions is None else len(lesions),
        "lesions": None if lesions is None else len(set(lesions)),
    }


def _more(now: dict[str, Any] | None, before: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of a set that two trainings learned from: the more; not known wins."""
    if now is None or before.get("images") is None:
        return before
    if now["images"] is None:
        return now
    return max(now, before, key=lambda entry: int(entry["images"]))
