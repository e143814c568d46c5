"""Fields of JSON texts that lie beside weights: None wherever a field is not what is looked for. Nothing raises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

_LARGEST_NUMBER = 1e6
_LARGEST_SIDE = 1 << 13
"""Pixels; the largest that is published has 800. An image of this side takes 800 MB."""

Fields = Mapping[str, Any]


def fields_of(text: str | None) -> Fields | None:
    """The object in a text; None for anything else."""
    try:
        document = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return as_fields(document)


def as_fields(value: object) -> Fields | None:
    """An object inside another one."""
    return cast("Fields", value) if isinstance(value, dict) else None


def number(value: object, *, above: float = 0.0) -> float | None:
    """A finite number of sensible size, more than `above`."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if above < value < _LARGEST_NUMBER else None


def side(value: object) -> int | None:
    """The side of an image in pixels, from 1 on."""
    return value if type(value) is int and 0 < value <= _LARGEST_SIDE else None


def flag(value: object, *, default: bool) -> bool:
    """True or false; the default for anything else."""
    return value if isinstance(value, bool) else default


def three_numbers(value: object, *, above: float = -_LARGEST_NUMBER) -> tuple[float, float, float] | None:
    """One number for each of the channels red, green and blue, or one for all."""
    if not isinstance(value, list):
        one = number(value, above=above)
        return None if one is None else (one, one, one)
    found = [number(item, above=above) for item in cast("list[object]", value)]
    match found:
        case [float() as red, float() as green, float() as blue]:
            return red, green, blue
        case _:
            return None


def numbers(value: object, *, count: int, above: float = -_LARGEST_NUMBER) -> tuple[float, ...] | None:
    """One number for each of that many channels, or one for all, in a list or by itself."""
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    found = [one for item in items if (one := number(item, above=above)) is not None]
    if len(found) != len(items) or len(found) not in (1, count):
        return None
    return tuple(found * count if len(found) == 1 else found)


def whole_numbers(value: object) -> list[int] | None:
    """A list of whole numbers from 0 on."""
    if not isinstance(value, list):
        return None
    items = cast("list[object]", value)
    found = [item for item in items if type(item) is int and item >= 0]
    return found if len(found) == len(items) else None


def timm_backbone(document: Fields) -> Fields | None:
    """The fields that transformers has for a network of timm which is part of another one, `backbone` its name.

    They are the document itself, or stand in it where a whole model has such a part.
    """
    for fields in (document, as_fields(document.get("backbone_config")) or {}):
        is_timm = fields.get("model_type") == "timm_backbone" or fields.get("use_timm_backbone") is True
        if is_timm and isinstance(fields.get("backbone"), str):
            return fields
    return None


def other_architecture(texts: Mapping[str, str]) -> str | None:
    """What `config.json` calls a network that is no EfficientNet, in the words of timm or of transformers."""
    document = fields_of(texts.get("config.json")) or {}
    if (backbone := timm_backbone(document)) is not None:
        document = {"architecture": backbone["backbone"]}
    listed = document.get("architectures")
    names = [document.get("architecture"), *(cast("list[object]", listed) if isinstance(listed, list) else ())]
    said = [name for name in (*names, document.get("model_type")) if isinstance(name, str) and name]
    return None if not said or any("efficientnet" in name.lower() for name in said) else said[0]
