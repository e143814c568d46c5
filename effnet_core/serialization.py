"""A network definition as JSON and back: what travels inside the files that this project writes."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum, StrEnum
from functools import cache, partial
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from effnet_core.errors import InvalidSpec
from effnet_core.heads import HiddenLayer
from effnet_core.older_fields import with_todays_fields
from effnet_core.preprocessing import Crop, Preprocessing
from effnet_core.spec import Block, NetworkSpec

VERSION = 2
"""2: the preprocessing says everything that is done to an image; 1 had `crop_padding` and `interpolation` instead."""
_READ = (1, 2)
_TAGGED = (Block, HiddenLayer, Crop)
"""What is of several kinds, so that each says its own."""


def to_json(spec: NetworkSpec) -> str:
    """The definition as one line of JSON, keys in the order of the fields."""
    return json.dumps({"version": VERSION, "network": as_values(spec)}, separators=(",", ":"))


def from_json(text: str) -> NetworkSpec:
    """The definition that `to_json` wrote. Raises `InvalidSpec` for anything else."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidSpec(f"Expected the JSON of a network definition, found text that is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise InvalidSpec("Expected the JSON of a network definition: an object with 'version' and 'network'.")
    body = cast("dict[str, Any]", document)
    if type(body.get("version")) is not int or body["version"] not in _READ:
        raise InvalidSpec(
            f"Expected a network definition of version {VERSION} or older, found version {body.get('version')!r}. "
            "Write the file again with this version of effnet, or read it with the version that wrote it."
        )
    return cast("NetworkSpec", built(NetworkSpec, body.get("network"), "network"))


def as_values(value: Any) -> Any:
    """Dataclasses as objects, tuples as lists and enums as their values: what JSON knows."""
    names = _names_of_fields(value.__class__)
    if names is not None:
        kind = {"kind": type(value).__name__} if isinstance(value, _TAGGED) else {}
        return kind | {name: as_values(getattr(value, name)) for name in names}
    if isinstance(value, tuple):
        return [as_values(item) for item in cast("tuple[Any, ...]", value)]
    return value.value if isinstance(value, Enum) else value


@cache
def _names_of_fields(kind: type) -> tuple[str, ...] | None:
    """None for a type that is no dataclass."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None


def built(kind: Any, value: Any, where: str) -> Any:
    """The dataclass `kind`, or another type of its fields, from what `as_values` made of it.

    Raises `InvalidSpec`, saying where (`where` is the name of the whole), for any value of another kind.
    """
    return _builder(kind)(value, where)


@cache
def _builder(kind: Any) -> Callable[[Any, str], Any]:
    """What `built` does for a type: the types of all fields are known, each is looked at once."""
    if is_dataclass(kind):
        return partial(_dataclass, cast("type", kind))
    if get_origin(kind) is tuple:
        return partial(_tuple, get_args(kind))
    if kind in _TAGGED:
        return partial(_of_kind, {option.__name__: option for option in get_args(kind)})
    if get_origin(kind) in (types.UnionType, Union):
        return partial(_optional, next(option for option in get_args(kind) if option is not type(None)))
    if issubclass(kind, StrEnum):
        return partial(_member, {str(member.value): member for member in kind})
    return partial(_leaf, kind)


def _optional(kind: Any, value: Any, where: str) -> Any:
    return None if value is None else built(kind, value, where)


def _of_kind(kinds: Mapping[str, type], value: Any, where: str) -> Any:
    given = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    name = given.get("kind")
    if not isinstance(name, str) or name not in kinds:
        raise InvalidSpec(f"{where}.kind is {name!r}; expected one of {', '.join(kinds)}.")
    return _dataclass(kinds[name], {name: item for name, item in given.items() if name != "kind"}, where)


def _member(members: Mapping[str, StrEnum], value: Any, where: str) -> StrEnum:
    if not isinstance(value, str) or value not in members:
        raise InvalidSpec(f"{where} is {value!r}; expected one of {', '.join(members)}.")
    return members[value]


def _leaf(kind: type, value: Any, where: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise InvalidSpec(f"{where} is {value!r}; expected a value of type {kind.__name__}.")
    return value


def _dataclass(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise InvalidSpec(f"{where} is {type(value).__name__}; expected an object.")
    given = cast("dict[str, Any]", value)
    if kind is Preprocessing:
        given = with_todays_fields(given)
    hints = _hints(kind)
    if given.keys() != hints.keys():
        # Fields that came later have defaults, so that older files can still be read.
        optional = {field.name for field in fields(kind) if field.default is not MISSING}
        missing, unknown = sorted(hints.keys() - given.keys() - optional), sorted(given.keys() - hints.keys())
        if missing or unknown:
            raise InvalidSpec(f"{where}: missing fields {missing}, unknown fields {unknown}.")
    return kind(**{name: built(hints[name], given[name], f"{where}.{name}") for name in hints if name in given})


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    items = cast("list[Any]", value) if isinstance(value, list) else None
    repeated = len(kinds) == 2 and kinds[1] is Ellipsis
    if items is None or (not repeated and len(items) != len(kinds)):
        expected = "a list" if repeated else f"a list of {len(kinds)}"
        raise InvalidSpec(f"{where} is {value!r}; expected {expected}.")
    each = [kinds[0]] * len(items) if repeated else kinds
    return tuple(
        built(kind, item, f"{where}[{index}]") for index, (kind, item) in enumerate(zip(each, items, strict=True))
    )
