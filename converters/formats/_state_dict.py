"""Which part of a PyTorch checkpoint is the state dict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar, cast

from converters.errors import UnsupportedFile, counted, some_of
from converters.formats._checkpoint_texts import described, texts_of
from converters.formats._pickle_values import Namespace, Opaque
from converters.formats.training_keys import AVERAGED, COUNTERS, HOLDERS, NESTED, UNREAD_AVERAGES
from converters.formats.training_state import OPTIMISER, is_optimiser

T = TypeVar("T")

_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class StateDict(Generic[T]):
    """The tensors that were found, and what was left out with the reasons."""

    tensors: Mapping[str, T]
    skipped: Mapping[str, str]
    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType[str, str]({}))
    """What the checkpoint says of its network: `arch`, and as JSON objects what `args`, `hyper_parameters` and, under
    `checkpoint`, what stands beside them hold of text, numbers, short lists of numbers and such."""


def find_state_dict(root: object, kind: type[T], *, path: Path) -> StateDict[T]:
    """The mapping of names to tensors (instances of `kind`). Raises `UnsupportedFile` when there is none."""
    if not isinstance(root, dict):
        raise UnsupportedFile(f"{path} holds no dict of tensors but this: {described(root)}. {_saved(root, kind)}")
    checkpoint = cast("dict[object, object]", root)
    nested = [key for key in NESTED if _has_tensors(checkpoint.get(key), kind)]
    averaged = {key: averages for key in AVERAGED if (averages := _averages(checkpoint.get(key), kind))}
    taken = [*nested[:1], *list(averaged)[:1]]
    if not taken and not _has_tensors(checkpoint, kind):
        raise UnsupportedFile(_no_tensors(checkpoint, kind, path))
    rest = {key: value for key, value in checkpoint.items() if key not in taken}
    if nested:
        skipped = {
            str(key): f"another state dict; {taken[0]!r} was taken"
            if key in nested or key in averaged
            else _reason(key, value, kind)
            for key, value in rest.items()
        }
        found = _split(cast("dict[object, object]", checkpoint[nested[0]]), kind, label=f"{nested[0]}.")
        found = replace(found, skipped=skipped | dict(found.skipped))
    else:
        found = _split(rest, kind, label="")
    tensors = [key for key, value in checkpoint.items() if key in taken or _has_tensors(value, kind)]
    found = replace(found, texts=texts_of(checkpoint, tensors=tensors))
    for key, averages in list(averaged.items())[:1]:
        found = _joined(found, _split(averages, kind, label=f"{key}."), f"{key}.")
    return found


def _averages(value: object, kind: type[T]) -> dict[object, object]:
    """The names and tensors of averages, beside what a class for averages keeps with them; empty where there are none.

    Those that it has one level deeper are given as if they stood beside its counters.
    """
    if not isinstance(value, dict):
        return {}
    held = cast("dict[object, object]", value)
    if any(isinstance(item, kind) and key not in COUNTERS for key, item in held.items()):
        return held
    for key in HOLDERS:
        if _has_tensors(inner := held.get(key), kind):
            return {name: item for name, item in held.items() if name != key} | cast("dict[object, object]", inner)
    return {}


def _no_tensors(checkpoint: dict[object, object], kind: type[T], path: Path) -> str:
    """Why a checkpoint without state dict is refused, and what to do."""
    dicts = {str(key)[:40]: value for key, value in checkpoint.items() if _has_tensors(value, kind)}
    if dicts:
        counts = [
            f"{key!r} ({counted(_tensors_below(value, kind), 'tensor')})"
            for key, value in islice(dicts.items(), _MOST_NAMED)
        ]
        return (
            f"{path} has no tensors at its top nor under a key that is known to hold a network, but under "
            f"{some_of(counts)}. Save the one that is meant alone: torch.save(checkpoint[{next(iter(dicts))!r}], ...), "
            "where checkpoint is what torch.load gives."
        )
    held = ", ".join(
        f"{str(key)[:40]} ({described(value)})" if isinstance(value, Opaque) else str(key)[:40]
        for key, value in islice(checkpoint.items(), 12)
    )
    return (
        f"{path} has no tensors at its top nor under {', '.join((*NESTED, *AVERAGED))}; it holds: {held or 'nothing'}. "
        "Save `model.state_dict()` alone with torch.save."
    )


def _saved(root: object, kind: type[T]) -> str:
    """What to save in the place of a value that is no dict."""
    if isinstance(root, list | tuple) and any(_has_tensors(one, kind) for one in cast("list[object]", root)):
        return "Save one of them alone: torch.save(checkpoint[0], ...), where checkpoint is what torch.load gives."
    return "Save `model.state_dict()` with torch.save."


def _joined(found: StateDict[T], averages: StateDict[T], prefix: str) -> StateDict[T]:
    return replace(
        found,
        tensors={**found.tensors, **{prefix + name: tensor for name, tensor in averages.tensors.items()}},
        skipped={**found.skipped, **averages.skipped},
    )


def _has_tensors(value: object, kind: type[T]) -> bool:
    return isinstance(value, dict) and any(
        isinstance(item, kind) for item in cast("dict[object, object]", value).values()
    )


def _split(found: dict[object, object], kind: type[T], *, label: str) -> StateDict[T]:
    """The tensors of a mapping; `label` stands before the names of what is left out."""
    tensors: dict[str, T] = {}
    skipped: dict[str, str] = {}
    for key, value in found.items():
        if isinstance(value, kind) and isinstance(key, str):
            tensors[key] = value
        else:
            skipped[f"{label}{str(key)[:80]}"] = _reason(key, value, kind)
    return StateDict(tensors=tensors, skipped=skipped)


def _reason(key: object, value: object, kind: type[T]) -> str:
    if isinstance(value, kind):
        return "a tensor outside the state dict"
    count = _tensors_below(value, kind)
    if count and isinstance(key, str) and is_optimiser(key):
        return f"{OPTIMISER}, {counted(count, 'tensor')}"
    if key in AVERAGED and (count or isinstance(value, Opaque | Namespace)):
        return f"{UNREAD_AVERAGES}: {described(value)}" + (f", {_without_names(value, kind)}" if count else "")
    if count:
        return f"not read: {described(value)}, {counted(count, 'tensor')} in all"
    return f"no tensor: {described(value)}"


def _without_names(averages: object, kind: type[T]) -> str:
    """How many tensors averages hold, and whether lists hold them, in which no name tells whose average each is."""
    found = f"{counted(_tensors_below(averages, kind), 'tensor')} in all"
    held = cast("dict[object, object]", averages) if isinstance(averages, dict) else {"": averages}
    lists = any(not isinstance(value, dict | kind) and _tensors_below(value, kind) for value in held.values())
    return f"{found}, in lists that do not name them" if lists else found


def _tensors_below(value: object, kind: type[T]) -> int:
    """How many tensors a value of dicts and lists holds, however deep."""
    count, seen, left = 0, set[int](), [value]
    while left:
        one = left.pop()
        if isinstance(one, kind):
            count += 1
        elif isinstance(one, dict | list | tuple):
            held = cast("dict[object, object] | list[object]", one)
            if id(held) not in seen:
                seen.add(id(held))
                left += held.values() if isinstance(held, dict) else held
    return count
