"""Plain JSON or YAML values into frozen dataclasses, strictly.

What a file says is checked against the dataclass's annotations: an unknown key, a missing one or a
value of another type is an error that names its place. Used by `bundle.json` and by recipes.
"""

from __future__ import annotations

import math
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class SchemaError(ValueError):
    """A value does not fit its declared type. `place` is its path in the file: ``gate.fixed``."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place or 'the file'}: {problem}")
        self.place = place


def parse(kind: type[T], value: Any, place: str = "") -> T:
    """Return `value` as an instance of the dataclass `kind`. Raises `SchemaError`."""
    if not isinstance(value, dict):
        raise SchemaError(place, f"expected a mapping, got {type(value).__name__}")
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(map(str, value)) - set(known)):
        raise SchemaError(place, f"unknown keys {unknown}; known are {sorted(known)}")
    required = {
        name for name, f in known.items() if f.default is MISSING and f.default_factory is MISSING
    }
    if missing := sorted(required - set(value)):
        raise SchemaError(place, f"missing keys {missing}")
    read = {name: _read(hints[name], item, _join(place, name)) for name, item in value.items()}
    try:
        return kind(**read)
    except ValueError as error:
        raise SchemaError(place, str(error)) from error


def _read(hint: Any, value: Any, place: str) -> Any:
    origin = get_origin(hint)
    if hint is Any:
        read = value
    elif is_dataclass(hint):
        read = parse(hint, value, place)  # type: ignore[arg-type]
    elif origin in (Union, types.UnionType):
        read = _read_union(hint, value, place)
    elif origin is tuple:
        read = _read_tuple(get_args(hint), value, place)
    elif origin is dict:
        read = _read_mapping(get_args(hint)[1], value, place)
    elif origin is Literal:
        read = _read_choice(get_args(hint), value, place)
    else:
        read = _read_scalar(hint, value, place)
    return read


def _read_mapping(item: Any, value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SchemaError(place, f"expected a mapping, got {type(value).__name__}")
    return {str(k): _read(item, v, _join(place, str(k))) for k, v in value.items()}


def _read_choice(choices: tuple[Any, ...], value: Any, place: str) -> Any:
    # JSON's true equals 1 in Python: the type must agree too.
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        raise SchemaError(place, f"{value!r} is none of {list(choices)}")
    return value


def _read_union(hint: Any, value: Any, place: str) -> Any:
    if value is None and type(None) in get_args(hint):
        return None
    options = [option for option in get_args(hint) if option is not type(None)]
    return _read(options[0], value, place)


def _read_tuple(items: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise SchemaError(place, f"expected a list, got {type(value).__name__}")
    if items[-1] is Ellipsis:
        items = (items[0],) * len(value)
    if len(items) != len(value):
        raise SchemaError(place, f"expected {len(items)} items, got {len(value)}")
    return tuple(
        _read(hint, item, f"{place}[{i}]")
        for i, (hint, item) in enumerate(zip(items, value, strict=True))
    )


def _read_scalar(hint: type, value: Any, place: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise SchemaError(place, f"expected {hint.__name__}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise SchemaError(place, f"{value!r} is not a finite number")
    return value


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
