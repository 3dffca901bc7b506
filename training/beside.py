"""The figures of the same recipe on an image-random split, beside a bundle's own.

HAM10000 has several photos of many lesions. Split photo by photo, as the sources do, a network is
tested on lesions that it was trained on; whether that flatters stands in the model card.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from training.recipe import RecipeError

if TYPE_CHECKING:
    from inference_worker.manifest import Manifest

KEY: Final = "image_random"
FIGURES: Final = ("melanoma_auc", "malignant_auc", "balanced_accuracy", "accuracy")


def put(own: Manifest, flattered: Manifest) -> Manifest:
    """Return `own` with the figures of `flattered`, whose split was by image.

    Where `flattered` has one member and `own` several, it stands beside `own`'s first member, whose
    figures are known by themselves. Raises `RecipeError` where it was not, or where `own`'s was.
    """
    for manifest, wanted in ((own, "lesion"), (flattered, "image")):
        # Bundles made before splits by image were there say nothing: theirs were by lesion.
        found = (manifest.training.get("split") or {}).get("by", "lesion")
        if found != wanted:
            raise RecipeError(
                f"the split of {manifest.name!r} is by {found}, wanted by {wanted}: fit the same "
                f"recipe with 'split: {{by: image}}' and put that bundle beside this one"
            )
    test, honest = flattered.metrics["test"], own.metrics["test"]
    members = len(flattered.classifier.members)
    if members != len(own.classifier.members):
        if members != 1:
            raise RecipeError(
                f"{flattered.name!r} has {members} members, {own.name!r} "
                f"{len(own.classifier.members)}: as many, or one"
            )
        first = honest["members"][0]
        # Bundles of an older make hold a member's figures without their intervals.
        honest = {n: f if isinstance(f, dict) else {"value": f} for n, f in first.items()}
    found = {
        "n_images": test["n_images"],
        "n_lesions": test["n_lesions"],
        "members": members,
        "by_lesion": {name: honest[name] for name in FIGURES if name in honest},
        "by_image": {name: test[name] for name in FIGURES if name in test},
    }
    return replace(own, metrics={**own.metrics, KEY: found})


def carry(own: Manifest, earlier: Manifest) -> Manifest:
    """Return `own` with the comparison of an earlier version of it, and of which version that is.

    For want of a further network on a leaking split. Both columns stay the earlier version's: one
    of its own beside one of another schedule would compare schedules. Raises `RecipeError`.
    """
    found = earlier.metrics.get(KEY)
    if found is None or earlier.name != own.name:
        raise RecipeError(
            f"{earlier.name!r} {earlier.version} holds no comparison with an image-random split of "
            f"{own.name!r}: fit the recipe with --by-image and put that bundle beside this one"
        )
    kept = {"version": earlier.version, **found}
    return replace(own, metrics={**own.metrics, KEY: kept})
