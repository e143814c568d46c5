"""Whose names a file holds: found from the names alone, whatever the network is and wherever it stands in the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from converters.dialects.dialect import Dialect
from converters.names.patterns import (
    PLACES,
    block_templates,
    end_of_place,
    inside,
    other_depthwise,
    pattern,
    with_shortened,
)
from effnet_core import Role

_COUNTED = re.compile(r"_[0-9]+(?=/[^/]*$)")
_DIGITS = "0123456789"
_SMALL = 0.1
"""A network among others has at least this part of the names of the largest: what is smaller has some by chance."""
_FEWEST_BLOCKS = 5
"""Whole blocks that a second network has at least; fewer may have such names by chance."""
_BOUNDARY = re.compile(r"[./]")
_LONGEST_KEPT = 256
"""Letters of a name that is looked up once; only hostile files have longer ones, with endless parts."""


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """How many names of a file a dialect knows, and what stands before them."""

    dialect: Dialect
    count: int
    prefix: str
    """What stands before every name of the network: what wrappers and enclosing modules have put there."""
    scope: str
    num_blocks: int | None
    """None where the names do not tell blocks apart."""
    whole_blocks: int | None = None
    """The same without blocks of which only a few tensors are there."""
    rivals: tuple[str, ...] = ()
    """Other prefixes with as many names."""


def recognise(dialect: Dialect, names: Iterable[str], *, prefix: str | None = None) -> Recognised:
    """Match the names of a file against the dialect's templates; needs no definition of the network.

    Where names of the dialect stand behind several prefixes, the one with most of them is the network's, unless
    `prefix` says it.
    """
    found = _by_prefix(dialect, names, prefix)
    most = max((len(matches) for matches in found.values()), default=0)
    largest = [one for one, matches in found.items() if len(matches) == most]
    if not largest:
        return Recognised(dialect=dialect, count=0, prefix=prefix or "", scope="", num_blocks=0)
    matches = found[largest[0]]
    scopes = Counter(fields.get("scope", "") for fields in matches)
    indices, places = _blocks(matches)
    num_blocks = _num_blocks(dialect, indices, places)
    return Recognised(
        dialect=dialect,
        count=most,
        prefix=largest[0],
        scope=scopes.most_common(1)[0][0],
        num_blocks=num_blocks,
        whole_blocks=None if num_blocks is None else _whole_blocks([*indices.values(), *places.values()]),
        rivals=tuple(largest[1:]),
    )


def starts_of_networks(dialect: Dialect, names: Iterable[str]) -> list[str]:
    """What stands before the names of each network of a file, in order."""
    counts = {start: len(matches) for start, matches in _by_prefix(dialect, names, None).items()}
    least = _SMALL * max(counts.values(), default=0)
    return sorted(start for start, count in counts.items() if count >= least)


def whole_networks(dialect: Dialect, names: Collection[str]) -> list[str]:
    """What stands before the names of each network of which a stem and several whole blocks are there, in order."""
    templates = with_shortened(dialect, {dialect.layers["stem.conv"]})
    stems = tuple(f"{template}{dialect.separator}{dialect.leaves[Role.CONV]}" for template in templates)
    if not any(name.endswith(stems) for name in names):  # few files have a second one, and matching takes its time
        return []
    known, found = {*names}, list[str]()
    for start, matches in _by_prefix(dialect, names, None).items():
        indices, places = _blocks(matches)
        whole = _whole_blocks([*indices.values(), *places.values()])
        if whole >= _FEWEST_BLOCKS and any(start + stem in known for stem in stems):
            found.append(start)
    return sorted(found)


def _blocks(matches: Iterable[Mapping[str, str]]) -> tuple[Counter[int], Counter[tuple[str, ...]]]:
    """How many names each block has: by its index, or by its place where the dialect has no index."""
    indices: Counter[int] = Counter()
    places: Counter[tuple[str, ...]] = Counter()
    for fields in matches:
        if "index" in fields:
            indices[int(fields["index"])] += 1
        elif "repeat" in fields or "letter" in fields:
            places[tuple(fields[name] for name in PLACES if name in fields)] += 1
    return indices, places


def _whole_blocks(tensors: list[int]) -> int:
    """How many of the blocks with these numbers of tensors are no strays: the smallest kind has a fourth of another."""
    usual = sorted(tensors)[(len(tensors) - 1) // 2] if tensors else 0
    return sum(4 * count >= usual for count in tensors)


def _num_blocks(dialect: Dialect, indices: Collection[int], places: Collection[tuple[str, ...]]) -> int | None:
    if any(end_of_place(template) for template in block_templates(dialect)):
        return max(indices) + 1 if indices else len(places)
    return None


def _by_prefix(dialect: Dialect, names: Iterable[str], prefix: str | None) -> dict[str, list[Mapping[str, str]]]:
    """For each prefix the fields of the names behind it that the dialect knows."""
    found: dict[str, list[Mapping[str, str]]] = {}
    first: str | None = None  # what stands before most names is what stands before the first
    for name in names:
        variable = variable_name(dialect, name)
        if first is not None and variable.startswith(first):
            fields = _fields(dialect, variable, len(first))
            if fields is not None:
                found[first].append(fields)
                continue
        for start in _starts(dialect, variable, found, prefix):
            if (fields := _fields(dialect, variable, start)) is not None:
                found.setdefault(variable[:start], []).append(fields)
                break
        first = next(iter(found), None)
    return found


def _fields(dialect: Dialect, variable: str, start: int = 0) -> Mapping[str, str] | None:
    """The values of the fields in what follows `start` in a variable's name; None where the dialect does not know it.

    Each name is asked for several times: as a variable, as its average, and when names are sorted.
    """
    if len(variable) > _LONGEST_KEPT:
        return _matched_fields(dialect, variable, start)
    return _kept_fields(dialect, variable[start:])


@lru_cache(maxsize=1 << 13)
def _kept_fields(dialect: Dialect, variable: str) -> Mapping[str, str] | None:
    return _matched_fields(dialect, variable, 0)


def _matched_fields(dialect: Dialect, variable: str, start: int) -> Mapping[str, str] | None:
    match = pattern(dialect).fullmatch(variable, start)
    if match is None:
        return None
    if match.lastgroup is None:
        return {}
    return {field: value for field, group in _groups(dialect)[match.lastgroup] if (value := match[group])}


@cache
def _groups(dialect: Dialect) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """For each group of the dialect's pattern the fields of its option, with the names of their groups."""
    options: dict[str, list[tuple[str, str]]] = {}
    for group in pattern(dialect).groupindex:
        field = group.rstrip(_DIGITS)
        options.setdefault(group[len(field) :], []).append((field, group))
    return {group: tuple(groups) for groups in options.values() for _, group in groups}


def _starts(dialect: Dialect, name: str, known: Mapping[str, object], prefix: str | None) -> Iterator[int]:
    """Where in a name the dialect's own part may begin, the likely places first."""
    if prefix is not None:
        if name.startswith(prefix):
            yield len(prefix)
        return
    if dialect.has_scope:  # it takes in whatever stands before
        yield 0
        return
    yield from [len(one) for one in known if name.startswith(one)]
    yield 0
    yield from (boundary.end() for boundary in _BOUNDARY.finditer(name))


def variable_name(dialect: Dialect, name: str) -> str:
    """The variable's name, whether the name is its own or that of its moving average."""
    return name.removesuffix(dialect.shadow_suffix) if dialect.shadow_suffix else name


def usual_name(dialect: Dialect, name: str, *, scope: str) -> str:
    """The name that the dialect writes, for one that may be an alternative to it."""
    for layer, usual in _alternatives(dialect, scope):
        if name.startswith(layer):
            return usual + name.removeprefix(layer)
    if dialect.omissible is not None and pattern(dialect).fullmatch(dialect.omissible + name):
        return dialect.omissible + name
    leaf = dialect.depthwise_alternative
    if leaf is not None and name.endswith(leaf) and other_depthwise(dialect).fullmatch(name):
        return name.removesuffix(leaf) + dialect.leaves[Role.DEPTHWISE]
    return name


@lru_cache(maxsize=8)
def _alternatives(dialect: Dialect, scope: str) -> tuple[tuple[str, str], ...]:
    """How the names of layers begin that some files have, and the usual beginning for each."""
    return tuple(
        (template.format(scope=scope) + dialect.separator, dialect.layers[part].format(scope=scope) + dialect.separator)
        for part, template in dialect.alternatives.items()
    )


def normalisation_name(dialect: Dialect, name: str) -> str | None:
    """The dialect's name for a tensor by which its own network normalises its input; None for any other tensor.

    Keras numbers the layers of one program that have no names: `normalization_3/mean` is `normalization/mean`.
    """
    tensors = dialect.normalisation
    if tensors is None:
        return None
    usual = _COUNTED.sub("", name)
    return usual if usual in (tensors.mean, tensors.variance, tensors.count) else None


def is_of_network(dialect: Dialect, name: str) -> bool:
    """Whether a variable is a tensor of the network, or stands where it could not be left out without a change."""
    return is_named(dialect, name) or inside(dialect).fullmatch(name) is not None


def is_named(dialect: Dialect, name: str) -> bool:
    """Whether the dialect has a variable of that name."""
    return _fields(dialect, name) is not None
