"""What every kind of page has: the verdict, facts, and numbers in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The verdict in plain words."""

    text: str
    mark: str
    kind: str
    """The class of the page's style."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A number for the head of the page."""

    title: str
    value: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A line about what was compared, and how."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What one kind of page shows."""

    template: str
    """The file."""
    kind: str
    """What was done, in words."""
    headline: Headline
    verdict: list[str]
    facts: list[Fact]
    settings: list[Setting] = field(default_factory=list["Setting"])
    values: Mapping[str, Any]
    """What the template's own part needs."""
    drawings: Mapping[str, str]
    """Elements of SVG, by name."""


def good(text: str) -> Headline:
    """The two are the same."""
    return Headline(text=text, mark="✓", kind="good")


def bad(text: str) -> Headline:
    """The two are not."""
    return Headline(text=text, mark="✗", kind="bad")


def order(value: float) -> float:
    """NaN is worse than any number."""
    return value if math.isfinite(value) else math.inf


def number(value: float) -> str:
    """A difference in two digits."""
    if not math.isfinite(value):
        return "NaN"
    if value == 0:
        return "0"
    return f"{value:.1e}" if value < 0.01 else f"{value:.2g}"


def shape_of(sides: tuple[int, ...]) -> str:
    """2 x 32 x 32 x 8."""
    return " x ".join(map(str, sides))


def printable(text: str) -> str:
    """The text without control characters."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
