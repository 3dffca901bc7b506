"""What a training was made of, written into its files: only the same recipe goes on with them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from inference_worker import typed
from training.schedule import Stage  # noqa: TC001 - plans are read by its type

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KEY: Final = "plan"


class OtherRecipeError(ValueError):
    """A run is to be gone on with by another recipe, or on other data, than it was begun with."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`stages` to train, and the hash of all else that decides the weights ("": not known)."""

    made_of: str
    stages: tuple[Stage, ...]

    def metadata(self) -> dict[str, str]:
        """Return what a file says of the plan by which it was made.

        In the weights' own file, so that neither can be there without the other.
        """
        said = {"made_of": self.made_of, "stages": [asdict(stage) for stage in self.stages]}
        return {_KEY: json.dumps(said, sort_keys=True)}

    def goes_on(self, metadata: Mapping[str, str], path: Path) -> bool:
        """Tell whether there is more to train than what `path`, of ended weights, was made by.

        More is a stage that restarts, behind all of that; or all, where the file says nothing.
        Raises `OtherRecipeError`, also for a further stage that does not restart: how the one
        before it ended is not kept.
        """
        before = self.check(metadata, path)
        if before is None:
            return True
        further = self.stages[len(before.stages) :]
        if further and not further[0].restart:
            raise OtherRecipeError(
                f"{path} is the end of {len(before.stages)} stages: a further one needs "
                "'restart: true', or train anew without --resume or into another folder"
            )
        return bool(further)

    def check(self, metadata: Mapping[str, str], path: Path) -> Plan | None:
        """Return the plan that `path` was made by, which this one must begin with.

        None where the file says nothing. Raises `OtherRecipeError`.
        """
        if not says(metadata):
            return None
        before = _read(metadata[_KEY])
        same = before.made_of == self.made_of
        if not same or before.stages != self.stages[: len(before.stages)]:
            what = "another schedule" if same else "another recipe or other data"
            raise OtherRecipeError(
                f"{path} was made by {what}: go on with what it was begun with, or train anew "
                "without --resume or into another folder"
            )
        return before

    def verify(self, metadata: Mapping[str, str], path: Path) -> None:
        """Raise `OtherRecipeError` where `path`, of ended weights, was not made by all of this.

        Where a stage says no number of photos, any will do; a file that says nothing is taken.
        """
        if not says(metadata):
            return
        made = _read(metadata[_KEY])
        if len(made.stages) == len(self.stages):
            stages = zip(self.stages, made.stages, strict=True)
            filled = tuple(replace(own, images=own.images or other.images) for own, other in stages)
            if made == replace(self, stages=filled):
                return
        raise OtherRecipeError(
            f"{path} was made by another recipe, schedule or other data than this bundle would "
            "name: export with those, or train anew into another folder"
        )


def says(metadata: Mapping[str, str]) -> bool:
    """Tell whether a file of ended weights says by which plan it was made."""
    return _KEY in metadata


def _read(text: str) -> Plan:
    return typed.parse(Plan, json.loads(text))
