"""What a PyTorch checkpoint says of its network beside the tensors, as texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import cast

from converters.formats._pickle_values import Namespace, Opaque

_LONGEST_TEXT = 200
_OPTIONS = ("args", "hyper_parameters")
_REST = "checkpoint"
_MOST_OPTIONS, _MOST_IN_ALL, _DEEPEST_OPTIONS = 300, 3000, 4
"""Entries of one mapping, of all that are read for one text, and levels of mappings inside each other."""
_MOST_NUMBERS = 32


def texts_of(checkpoint: Mapping[object, object], *, tensors: Iterable[object]) -> dict[str, str]:
    """What timm's training program (`arch`, `args`), Lightning (`hyper_parameters`) and others (the rest, `checkpoint`)
    say of the network; the keys of `tensors` hold no such thing.
    """
    texts: dict[str, str] = {}
    architecture = checkpoint.get("arch")
    if isinstance(architecture, str):
        texts["arch"] = architecture[:_LONGEST_TEXT]
    for key in _OPTIONS:
        if plain := _Reading().plain(checkpoint.get(key), depth=_DEEPEST_OPTIONS):
            texts[key] = json.dumps(plain)
    known = {"arch", *_OPTIONS, *tensors}
    rest = {key: value for key, value in checkpoint.items() if key not in known and _is_told(value)}
    # Counters alone, such as that of epochs, say nothing of a network.
    if any(not isinstance(value, int | float) for value in rest.values()):
        texts[_REST] = json.dumps(_Reading().plain(rest, depth=_DEEPEST_OPTIONS + 1))
    return texts


def described(value: object) -> str:
    """What a value that is not read is, in a few words."""
    if isinstance(value, dict | list | tuple):
        values = cast("list[object]", value)
        return f"{type(values).__name__} of {len(values)} values"
    if isinstance(value, Opaque | Namespace):
        return f"an object of {value.name[:_LONGEST_TEXT]}"
    return type(value).__name__


def _is_told(value: object) -> bool:
    return isinstance(value, str | bool | int | float | dict | Namespace)


class _Reading:
    """The reading of one mapping and of those inside it, which ends after so many entries of all."""

    def __init__(self) -> None:
        self._left = _MOST_IN_ALL

    def plain(self, value: object, *, depth: int) -> dict[str, object]:
        """What is plain data in the first entries of a mapping or namespace, and words for what is not."""
        held = value.attributes if isinstance(value, Namespace) else value
        if not isinstance(held, dict):
            return {}
        found: dict[str, object] = {}
        for key, item in islice(cast("dict[object, object]", held).items(), _MOST_OPTIONS):
            if not isinstance(key, str) or len(key) > _LONGEST_TEXT or self._left <= 0:
                continue
            self._left -= 1
            if isinstance(item, bool | float | None) or (isinstance(item, int) and abs(item) < 1 << 62):
                found[key] = item
            elif isinstance(item, str):
                found[key] = item[:_LONGEST_TEXT]
            elif isinstance(item, dict | Namespace) and depth > 1:
                found[key] = self.plain(cast("object", item), depth=depth - 1)
            elif (numbers := _few_numbers(cast("object", item))) is not None:
                found[key] = numbers
            else:
                found[key] = described(cast("object", item))
        return found


def _few_numbers(value: object) -> list[int | float] | None:
    """A short list of numbers, such as one for each channel; None for anything else."""
    if not isinstance(value, list | tuple):
        return None
    items = cast("list[object] | tuple[object, ...]", value)[:_MOST_NUMBERS]
    found = [
        item
        for item in items
        if isinstance(item, float) or (isinstance(item, int) and not isinstance(item, bool) and abs(item) < 1 << 62)
    ]
    return found if found and len(found) == len(cast("list[object]", value)) else None
