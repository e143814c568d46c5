"""The names of a dialect as regular expressions, made from its templates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from converters.dialects.dialect import Dialect

_NUMBERS = (
    "index",
    "stage",
    "stage_index",
    "after_stages",
    "repeat",
    "nth",
    "nth_of_three",
    "next_of_three",
    "nth_layer",
    "next_layer",
    "nth_of_sort",
    "hidden",
)
_FIELDS: Mapping[str, str] = {
    **{name: rf"(?P<{name}>0|[1-9][0-9]*)" for name in _NUMBERS},
    "letter": r"(?P<letter>[a-z{|}~\x7f-\xff])",  # what chr() gives for stages of more than 26 blocks too
    "scope": r"(?P<scope>.+?)",
}
PLACES = ("stage", "stage_index", "repeat", "letter")
"""Fields that together tell blocks apart where there is no index."""
_FIELD = re.compile(r"\{(\w+)\}")


@cache
def paths_of_body(dialect: Dialect) -> tuple[str, ...]:
    """How names begin below the modules that hold the dialect's stem, blocks or head: nothing there is beside them."""
    ends = {template for part, template in dialect.layers.items() if part.startswith(("stem.", "head."))}
    found: set[str] = set()
    for template in with_shortened(dialect, ends | block_templates(dialect)):
        fixed, brace, _ = template.partition("{")
        parent = fixed.rpartition(dialect.separator)[0]
        found |= {parent} if brace else {parent, template}
    return tuple(sorted(path + dialect.separator for path in found - {""}))


@cache
def pattern(dialect: Dialect) -> re.Pattern[str]:
    """One expression that matches the name of every tensor that the dialect can name."""
    layers = {*dialect.layers.values(), *dialect.alternatives.values(), *block_templates(dialect)}
    return _expression(with_shortened(dialect, layers), re.escape(dialect.separator) + _any_of(dialect.leaves.values()))


@cache
def inside(dialect: Dialect) -> re.Pattern[str]:
    """Matches what begins as the names of a block do, where an unknown tensor would change the network."""
    starts = {template[: end_of_place(template)] for template in block_templates(dialect)} - {""}
    return _expression(with_shortened(dialect, starts), r"(?![a-z0-9]).*")


@cache
def other_depthwise(dialect: Dialect) -> re.Pattern[str]:
    """Matches the other name that some files have for a depthwise kernel."""
    layers = {parts["depthwise.conv"] for parts in dialect.blocks.values() if "depthwise.conv" in parts}
    return _expression(layers, re.escape(f"{dialect.separator}{dialect.depthwise_alternative}"))


@cache
def block_templates(dialect: Dialect) -> frozenset[str]:
    """The paths of all layers of all kinds of blocks."""
    return frozenset(template for parts in dialect.blocks.values() for template in parts.values())


def with_shortened(dialect: Dialect, templates: set[str]) -> set[str]:
    """The templates, and those without what some files leave out."""
    if dialect.omissible is None:
        return templates
    return templates | {template.removeprefix(dialect.omissible) for template in templates}


def end_of_place(template: str) -> int:
    """Where the fields end that say which block it is; 0 without any."""
    return max((match.end() for match in _FIELD.finditer(template) if match[1] in {"index", *PLACES}), default=0)


def _expression(templates: Iterable[str], tail: str) -> re.Pattern[str]:
    options = [_option(template, number) for number, template in enumerate(sorted(templates))]
    return re.compile(rf"(?:{'|'.join(options) or '(?!)'}){tail}")


def _option(template: str, number: int) -> str:
    expression = re.escape(template).replace(r"\{", "{").replace(r"\}", "}").replace(r"\[", "(?:").replace(r"\]", ")?")
    return _FIELD.sub(
        lambda match: _FIELDS[match[1]].replace("<" + match[1] + ">", f"<{match[1]}{number}>"), expression
    )


def _any_of(words: Iterable[str]) -> str:
    return f"(?:{'|'.join(sorted({re.escape(word) for word in words}))})"
