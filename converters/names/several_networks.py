"""Whether a file holds a second whole network, of whatever size and in whatever names, beside the one found."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from converters.dialects import DIALECTS, Dialect
from converters.names.matching import Recognised, is_named, variable_name, whole_networks


def others_beside(found: Recognised, names: Collection[str], *, any_dialect: bool) -> dict[str, str]:
    """What the names of every other whole network begin with, each with its dialect.

    Only in the dialect that was found unless `any_dialect`. Of files that have a scope in place of modules, none.
    """
    if not found.dialect.names_modules:
        return {}
    left = [name for name in names if not _is_of(found, name)]
    others: dict[str, str] = {}
    for dialect in _tried(found.dialect) if any_dialect else [found.dialect]:
        for start in whole_networks(dialect, left):
            others[start] = dialect.name
        left = [name for name in left if not name.startswith(tuple(others))]
    return others


def _is_of(found: Recognised, name: str) -> bool:
    inner = name.removeprefix(found.prefix)
    return name.startswith(found.prefix) and is_named(found.dialect, variable_name(found.dialect, inner))


def _tried(first: Dialect) -> Iterator[Dialect]:
    yield first
    yield from (one for one in DIALECTS.values() if one is not first and one.names_modules)
