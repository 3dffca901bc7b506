"""The nine views, of which eight are computed."""

from __future__ import annotations

import pytest
import torch

from inference_worker import views

NINE = (
    "identity",
    "hflip",
    "vflip",
    "hvflip",
    "rot90",
    "rot180",
    "rot270",
    "centre95",
    "reflect105",
)
TURNS = {
    "hflip": "hflip",
    "vflip": "vflip",
    "hvflip": "hvflip",
    "rot90": "rot270",
    "rot180": "rot180",
}


def image(side: int = 64) -> torch.Tensor:
    return torch.rand((3, side, side), generator=torch.Generator().manual_seed(1))


def view(picture: torch.Tensor, name: str) -> torch.Tensor:
    return views.batch(picture, [name])[0]


def test_nine_views_are_eight_passes_and_one_counts_twice() -> None:
    plan = views.plan(NINE)
    assert len(plan.names) == 8
    assert plan.total == 9
    assert dict(zip(plan.names, plan.weights, strict=True))["hvflip"] == 2


def test_flipping_both_ways_is_turning_by_180_degrees() -> None:
    assert torch.equal(view(image(), "hvflip"), view(image(), "rot180"))


@pytest.mark.parametrize("name", TURNS)
def test_flips_and_turns_are_undone_by_their_inverse(name: str) -> None:
    turned = view(image(), name)
    assert not torch.equal(turned, image())
    assert torch.equal(view(turned, TURNS[name]), image())


def test_the_first_view_is_the_photo_as_it_stands() -> None:
    assert torch.equal(views.batch(image(), views.plan(NINE).names)[0], image())


def test_the_photo_as_it_stands_comes_first_whatever_the_order() -> None:
    plan = views.plan(("hflip", "rot180", "identity", "hvflip")).identity_first()
    assert plan.names == ("identity", "hflip", "hvflip")
    assert plan.weights == (1, 1, 2)


def test_the_photo_as_it_stands_does_not_count_unless_asked_for() -> None:
    plan = views.plan(("hflip", "vflip")).identity_first()
    assert plan.names == ("identity", "hflip", "vflip")
    assert plan.weights == (0, 1, 1)


def test_all_views_make_one_batch_of_one_size() -> None:
    assert views.batch(image(), views.plan(NINE).names).shape == (8, 3, 64, 64)


def ramp(side: int = 200) -> torch.Tensor:
    return torch.linspace(0, 1, side).expand(3, side, side)


def test_the_centre_view_shows_95_percent_of_the_photo() -> None:
    seen = view(ramp(), "centre95")[0, 100]
    assert (seen[-1] - seen[0]).item() == pytest.approx(0.95, abs=0.01)


def test_the_reflected_view_repeats_its_edge() -> None:
    seen = view(ramp(), "reflect105")[0, 100]
    assert seen[0] > seen[3]
    assert seen[-1] < seen[-4]
    assert seen[100].item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("names", "what"), [((), "no view"), (("identity", "zoom"), "zoom")])
def test_what_this_version_lacks_is_refused(names: tuple[str, ...], what: str) -> None:
    with pytest.raises(views.UnknownViewError, match=what):
        views.plan(names)
