from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from inference_worker.typed import SchemaError, parse


@dataclass(frozen=True)
class Inner:
    size: int
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.size <= 0:
            raise ValueError("size must be positive")


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    kind: Literal["a", "b"] = "a"
    version: Literal[1] = 1
    pair: tuple[float, float] = (0.0, 1.0)
    many: tuple[Inner, ...] = ()
    maybe: Inner | None = None
    table: dict[str, tuple[str, ...]] | None = None


def test_nested_values_become_dataclasses_and_tuples() -> None:
    read = parse(
        Outer,
        {
            "name": "x",
            "inner": {"size": 3, "share": 1},
            "many": [{"size": 4}],
            "table": {"mel": ["mel"]},
            "maybe": None,
        },
    )

    assert read == Outer("x", Inner(3, 1.0), many=(Inner(4),), table={"mel": ("mel",)})


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"inner": {"size": 3, "colour": 1}}, "inner"),
        ({"inner": {}}, "inner"),
        ({"inner": {"size": "3"}}, "inner.size"),
        ({"inner": {"size": True}}, "inner.size"),
        ({"inner": {"size": -1}}, "inner"),
        ({"inner": {"size": 3, "share": float("nan")}}, "inner.share"),
        ({"inner": [3]}, "inner"),
        ({"kind": "c"}, "kind"),
        ({"version": True}, "version"),
        ({"pair": [1.0]}, "pair"),
        ({"many": {"size": 4}}, "many"),
        ({"many": [{"size": 4}, {"size": "x"}]}, "many[1].size"),
        ({"table": ["mel"]}, "table"),
        ({"name": None}, "name"),
    ],
)
def test_a_value_of_another_type_is_refused_and_its_place_named(
    change: dict[str, object], place: str
) -> None:
    with pytest.raises(SchemaError) as refused:
        parse(Outer, {"name": "x", "inner": {"size": 3}} | change)

    assert refused.value.place == place


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(SchemaError, match=r"unknown keys \['naem'\]"):
        parse(Outer, {"naem": "x", "name": "x", "inner": {"size": 3}})
