"""The sweep of what a photo costs, on a small network."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import cost


def test_every_panel_is_measured_drawn_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "BATCHES", (1, 2))
    monkeypatch.setattr(cost, "SIDES", (32, 64))
    monkeypatch.setattr(cost, "cpu_multiplies_bfloat16", lambda: False)
    picture = tmp_path / "images" / "cost.svg"

    small = ["--members", "2", "--side", "64", "--views", "2", "--repeats", "1"]
    assert cost.main([*small, "--out", str(picture)]) == 0

    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["members"], told["side"], told["views"]) == (2, 64, 2)
    points = told["points"]
    varied = {name: [p["at"] for p in points if p["panel"] == name] for name in cost.TITLES}
    assert varied == {
        "batch": [1, 2],
        "side": [32, 64],
        "members": [1, 2],
        "views": list(range(1, cost.MOST_VIEWS + 1)),
    }
    assert {p["precision"] for p in points} == {"float32"}
    assert all(p["seconds"] > 0 for p in points)
    assert ET.parse(picture).getroot().tag.endswith("svg")  # noqa: S314 - drawn just now


def test_a_batch_is_told_by_the_view_and_a_photo_as_a_whole() -> None:
    """With networks that take a second a view, whatever the batch."""

    class Slow:
        def __init__(self) -> None:
            self.views = 0

        def run(self, x: object) -> None:
            self.views += len(x)

    networks = [Slow(), Slow()]
    setting = cost.Setting(members=2, side=8, views=3, repeats=1)

    class Clock:
        """The time is how many views were seen."""

        @staticmethod
        def fastest(work: object, repeats: int) -> float:
            before = sum(network.views for network in networks)
            work()
            return float(repeats * (sum(network.views for network in networks) - before))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cost.machine, "fastest", Clock.fastest)
        points = list(cost.measure(networks, "float32", setting))

    took = {(p.panel, p.at): p.seconds for p in points}
    assert {took["batch", size] for size in cost.BATCHES} == {1.0}
    assert {took["side", side] for side in cost.SIDES} == {6.0}
    assert (took["members", 1], took["members", 2]) == (3.0, 6.0)
    assert [took["views", n] for n in (1, 2, 8)] == [2.0, 4.0, 16.0]
