"""Which dialect the names of a file are written in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache

from converters.dialects import DIALECTS, Dialect
from converters.errors import counted, some_of
from converters.formats import FORMATS
from converters.formats.base import Reader
from converters.metadata_keys import DIALECT_KEY
from converters.names.matching import (
    Recognised,
    is_of_network,
    normalisation_name,
    recognise,
    starts_of_networks,
    variable_name,
)
from converters.names.patterns import pattern
from converters.names.several_networks import others_beside
from converters.options import SourceOptions
from effnet_core import EffnetError

_FEW = 40
"""Names that are looked at to tell the dialects apart."""
_STRAY = 8
"""So few names, if they are a small part of a file, belong to a dialect by chance."""
_NEARLY_ALL = 0.9
"""A network of which a dialect knows a smaller part is not in that dialect."""


class UnknownDialect(EffnetError):
    """The names in a file belong to no dialect, or a dialect of that name does not exist."""


class SeveralNetworks(EffnetError):
    """A file holds several networks, and nothing says which of them is meant."""


def find_dialect(name: str) -> Dialect:
    """The dialect of that name. Raises `UnknownDialect` naming all of them when there is none."""
    if name not in DIALECTS:
        near = get_close_matches(name, DIALECTS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UnknownDialect(f"There is no dialect named {name!r}.{hint} Dialects: {', '.join(DIALECTS)}.")
    return DIALECTS[name]


def recognised_names(reader: Reader, options: SourceOptions) -> Recognised:
    """The dialect that knows most names of the file, or the one that the user names, and where its names stand.

    Raises `UnknownDialect` where none knows them, or the one that the user names does not, or nothing stands behind
    the prefix that the user says, and `SeveralNetworks` where the file holds another whole network and no
    prefix is said.
    """
    if options.dialect is not None:
        found = recognise(find_dialect(options.dialect), reader.tensors, prefix=options.prefix)
        _check_named(reader, found, options)
    else:
        found = most_recognised(reader, options.prefix)
    few = options.dialect is None and _is_few(reader, found)
    if few or found.num_blocks == 0:
        _check_prefix(reader, options)
        raise UnknownDialect(_no_network(reader, found, is_named=options.dialect is not None))
    if options.prefix is None:
        _check_only_one(reader, found, any_dialect=options.dialect is None)
    return found


def _check_only_one(reader: Reader, found: Recognised, *, any_dialect: bool) -> None:
    """Raise `SeveralNetworks` where a file holds a second network, larger or smaller, in these or in other names."""
    others = dict.fromkeys(found.rivals, found.dialect.name)
    others |= others_beside(found, reader.tensors, any_dialect=any_dialect)
    if not others:
        return
    found_name = found.dialect.name
    if {*others.values()} == {found_name}:
        dialects, places = found_name, [repr(prefix) for prefix in (found.prefix, *others)]
    else:
        dialects = "several dialects"
        every = {found.prefix: found_name} | others
        places = [f"{prefix!r} ({name})" for prefix, name in every.items()]
    raise SeveralNetworks(
        f"{reader.path} holds {1 + len(others)} networks with names of {dialects}, which begin with "
        f"{some_of(sorted(places))}. Say which one is meant: --prefix (prefix=...)."
    )


def _check_named(reader: Reader, found: Recognised, options: SourceOptions) -> None:
    """Raise `UnknownDialect` where the names are not those of the dialect that the user names, but of another one."""
    if not _leaves_names(found, list(reader.tensors)):
        return
    other = most_recognised(reader, options.prefix)
    if _is_few(reader, other) or other.num_blocks == 0 or _has_other_blocks(reader, other):
        return
    is_other = found.count < _NEARLY_ALL * other.count and not _leaves_names(other, list(reader.tensors))
    if found.num_blocks == 0 or is_other:
        name = other.dialect.name
        raise UnknownDialect(
            f"{reader.path} holds {counted(len(reader.tensors), 'tensor')}; expected names of {found.dialect.name}, as "
            f"--from (dialect=...) says, found {found.count}, and {other.count} of {name}. The first are: "
            f"{some_of(reader.tensors, count=3)}. Leave --from away, or say --from {name} (dialect={name!r})."
        )


def _has_other_blocks(reader: Reader, found: Recognised) -> bool:
    """Whether the blocks of a file hold many tensors that the dialect does not know, as another architecture's do."""
    names = (name for name in reader.tensors if name.startswith(found.prefix))
    unknown = sum(
        is_of_network(found.dialect, variable := variable_name(found.dialect, name.removeprefix(found.prefix)))
        and pattern(found.dialect).fullmatch(variable) is None
        and is_ignorable(found.dialect, name) is None
        for name in names
    )
    return found.count < _NEARLY_ALL * (found.count + unknown)


def _check_prefix(reader: Reader, options: SourceOptions) -> None:
    """Raise `UnknownDialect` where the networks of a file stand elsewhere than behind the prefix that the user says."""
    if options.prefix is None:
        return
    anywhere = most_recognised(reader, None)
    if _is_few(reader, anywhere) or anywhere.num_blocks == 0:
        return
    places = starts_of_networks(anywhere.dialect, reader.tensors)
    if options.prefix in places:
        return
    listed = some_of((repr(place) for place in places if place), count=4)
    if not any(places):
        advice = "The names of its network have nothing before them: leave --prefix away"
    elif len(places) == 1:
        advice = f"The names of its network begin with {listed}: say that, or leave --prefix away"
    else:
        bare = "" if places[0] else ", or with nothing before them"
        advice = f"The names of its networks begin with {listed}{bare}: say which one is meant"
    begin_so = any(name.startswith(options.prefix) for name in reader.tensors)
    raise UnknownDialect(
        f"{reader.path} holds {counted(len(reader.tensors), 'tensor')}; expected a network whose names begin with "
        f"{options.prefix!r}, as --prefix (prefix=...) says, found {'none' if begin_so else 'no name that does'}. "
        f"{advice}."
    )


def _no_network(reader: Reader, found: Recognised, *, is_named: bool) -> str:
    """That no names, or only a few, are those of an EfficientNet."""
    holds = f"{reader.path} holds {counted(len(reader.tensors), 'tensor')}"
    first, dialects = some_of(reader.tensors), ", ".join(DIALECTS)
    if found.count == 0 and not is_named:
        return f"{holds}; no known dialect has these names: {first}. Dialects: {dialects}."
    advice = f" If it is an EfficientNet, name the dialect of its names: --from (dialect=...), one of {dialects}."
    return (
        f"{holds}, of whose names only {found.count} could be those of an EfficientNet "
        f"({found.dialect.title}){'' if found.num_blocks else ', and of no block'}: it is probably another "
        f"architecture. The first are: {first}.{'' if is_named else advice}"
    )


def _is_few(reader: Reader, found: Recognised) -> bool:
    """Whether so few names are those of a dialect that they may be so by chance."""
    return found.count < min(_STRAY, len(reader.tensors))


def most_recognised(reader: Reader, prefix: str | None) -> Recognised:
    """The dialect that knows most names, of which there may be none."""
    names = list(reader.tensors)
    # A few names from all over the file tell most dialects apart.
    few = names[:: len(names) // _FEW + 1]
    best = recognise(_likely(reader, few, prefix), names, prefix=prefix)
    if _leaves_names(best, names):
        tried = [one for one in _in_order(reader) if 2 * recognise(one, few, prefix=prefix).count > len(few)]
        if best.count < max(1, len(names) // 4):
            tried = list(_in_order(reader))
        best = max((best, *(recognise(one, names, prefix=prefix) for one in tried)), key=lambda found: found.count)
    return best


def _leaves_names(found: Recognised, names: Sequence[str]) -> bool:
    """Whether a file has names that the dialect does not know: those of some dialects differ in a few layers only."""
    if found.count == len(names):
        return False
    dialect, prefix = found.dialect, found.prefix
    others = sum(
        is_ignorable(dialect, name) is not None or normalisation_name(dialect, name.removeprefix(prefix)) is not None
        for name in names
    )
    return found.count + others < len(names)


def _likely(reader: Reader, few: Sequence[str], prefix: str | None) -> Dialect:
    """The dialect that knows most of a few names, the first of those that know as many."""
    found: list[Recognised] = []
    for dialect in _in_order(reader):
        found.append(recognise(dialect, few, prefix=prefix))
        ignorable = sum(is_ignorable(dialect, name) is not None for name in few)
        if found[-1].count and found[-1].count + ignorable >= len(few):
            break
    return max(found, key=lambda one: one.count).dialect


def _in_order(reader: Reader) -> Iterator[Dialect]:
    """Every dialect: the one that the file names, one at which its configuration hints, the format's usual, others."""
    named = DIALECTS.get(reader.metadata.get(DIALECT_KEY, ""))
    if named is not None:
        yield named
    usual = FORMATS[reader.format].dialect if reader.format in FORMATS else None

    def rank(dialect: Dialect) -> int:
        if is_hinted(dialect, reader):
            return 0
        return 1 if dialect.name == usual else 2

    yield from sorted((dialect for dialect in DIALECTS.values() if dialect is not named), key=rank)


def is_hinted(dialect: Dialect, reader: Reader) -> bool:
    """Whether what stands beside the tensors tells that a file is of the dialect."""
    return dialect.hint is not None and dialect.hint(texts_of(reader))


def texts_of(reader: Reader) -> dict[str, str]:
    """What stands beside the tensors and was not written by this project, by name."""
    return {key: value for key, value in reader.metadata.items() if not key.startswith("effnet.")}


def is_ignorable(dialect: Dialect, name: str) -> str | None:
    """Why the network does not need a tensor of that name; None where the dialect does not say."""
    if _any_ignorable(dialect).fullmatch(name) is None:
        return None
    return next((reason for expression, reason in _ignorable(dialect) if expression.fullmatch(name)), None)


@cache
def _ignorable(dialect: Dialect) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(rule.pattern), rule.reason) for rule in dialect.ignorable)


@cache
def _any_ignorable(dialect: Dialect) -> re.Pattern[str]:
    """All of them in one expression: most names are ignored by none."""
    return re.compile("|".join(f"(?:{rule.pattern})" for rule in dialect.ignorable) or "(?!)")
