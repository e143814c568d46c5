"""A comparison as one page of HTML that needs nothing else: no script, no network, no other file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from effnet.frameworks import TITLES
from effnet.parity_engine.compare import Comparison, LayerComparison
from effnet.parity_engine.report import TENSOR_COLUMNS, allowed, explanations, tensor_rows, verdict
from effnet.parity_engine.run import Side
from effnet.reporting.content import Content
from effnet.reporting.plots import NARROW, POINTS, WIDE, a_against_b, error_by_depth

_FOLDER = Path(__file__).parent
_COLUMNS = ("float64", "float32", "own_a", "own_b")


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A number for the head of the page."""

    title: str
    value: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number of the table."""

    text: str
    worst: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """A layer of the table."""

    name: str
    is_part: bool
    """Of a block, and not its end."""
    agrees: bool
    remarks: str
    cells: tuple[Cell, ...]
    """In the order of `_COLUMNS`."""
    largest: str
    shape: str


def page(found: Content) -> str:
    """The page. Everything that comes from files and their names is escaped."""
    jinja2: Any = import_module("jinja2")
    markup: Any = import_module("markupsafe").Markup
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html").render(
        **_values(found),
        # Of this project alone: the style and the drawings.
        style=markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
        depth_wide=markup(error_by_depth(found.report.comparison, WIDE)),
        depth_narrow=markup(error_by_depth(found.report.comparison, NARROW)),
        scatter=markup(_scatter(found)),
    )


def _values(found: Content) -> dict[str, Any]:
    report, comparison = found.report, found.report.comparison
    weights = found.weights or (None, None)
    return {
        "a": report.a,
        "b": report.b,
        "headline": headline(comparison),
        "verdict": [_printable(line) for line in verdict(comparison)[::-1]],
        "facts": _facts(comparison),
        "first": _first(comparison),
        "explanations": [_printable(line) for line in explanations(report.diagnosis)],
        "tensor_columns": TENSOR_COLUMNS,
        "tensors": [] if report.diagnosis is None else tensor_rows(report.diagnosis),
        "limits": {"float64": allowed(comparison.limits.float64), "float32": allowed(comparison.limits.float32)},
        "last": _last(comparison.layers[-1]),
        "points": POINTS,
        "scatter_all": 0 if found.last is None else found.last.a_float32.size,
        "rows": _rows(comparison),
        "sides": [_side("A", report.a, weights[0]), _side("B", report.b, weights[1])],
        "same_weights": None if found.weights is None else weights[0] == weights[1],
        "input": report.input,
        "device": report.device.value,
        "notes": list(dict.fromkeys((*report.a.notes, *report.b.notes, *report.notes))),
        "command": found.command,
        "environment": found.environment,
        "created": found.created,
    }


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The verdict in plain words."""

    text: str
    mark: str
    kind: str
    """The class of the page's style."""


def headline(comparison: Comparison) -> Headline:
    """The verdict at a glance. Float64 tells a difference of meaning from rounding."""
    layers = comparison.layers
    if comparison.agrees:
        return Headline(text="The two networks compute the same.", mark="✓", kind="good")
    if all(layer.agrees64 for layer in layers):
        beyond = sum(not layer.agrees for layer in layers)
        where = f"{beyond} of {len(layers)} layers"
        text = f"The two networks compute the same in float64. In float32 rounding goes beyond the limit at {where}."
        return Headline(text=text, mark="≈", kind="rounding")
    return Headline(text=f"The two networks differ, first at {comparison.first_difference}.", mark="✗", kind="bad")


def _facts(comparison: Comparison) -> list[Fact]:
    layers = comparison.layers
    agreeing = sum(layer.agrees for layer in layers)
    facts = [Fact(title="Layers that agree", value=f"{agreeing} of {len(layers)}", detail="in float64 and in float32")]
    for precision in ("float64", "float32"):
        worst = max(layers, key=lambda layer: _order(_relative(layer, precision)))
        of_largest = "of the largest value, " if math.isfinite(_relative(worst, precision)) else ""
        facts.append(
            Fact(
                title=f"Farthest apart in {precision}",
                value=_number(_relative(worst, precision)),
                detail=f"{of_largest}at {worst.name}",
            )
        )
    if comparison.same_argmax is not None:
        value = f"{comparison.same_argmax} of {comparison.images}"
        facts.append(Fact(title="Same first class", value=value, detail="images, in float32"))
    return facts


def _first(comparison: Comparison) -> dict[str, Any] | None:
    names = [layer.name for layer in comparison.layers]
    if comparison.first_difference is None:
        return None
    place = names.index(comparison.first_difference)
    layer = comparison.layers[place]
    numbers = {column: _number(_relative(layer, column)) for column in _COLUMNS}
    return {"before": names[place - 1] if place else None, "row": {"name": layer.name} | numbers}


def _rows(comparison: Comparison) -> list[Row]:
    layers = comparison.layers
    worst = {column: max(_order(_relative(layer, column)) for layer in layers) for column in _COLUMNS}
    return [
        Row(
            name=layer.name,
            is_part=layer.name.count(".") > 1,
            agrees=layer.agrees,
            remarks="; ".join(remark.value for remark in layer.remarks),
            cells=tuple(
                Cell(
                    text=_number(_relative(layer, column)),
                    worst=worst[column] > 0 and _order(_relative(layer, column)) == worst[column],
                )
                for column in _COLUMNS
            ),
            largest=f"{layer.largest:.4g}",
            shape=" x ".join(map(str, layer.shape)),
        )
        for layer in layers
    ]


def _side(letter: str, side: Side, weights: str | None) -> dict[str, Any]:
    return {
        "letter": letter,
        "name": side.name,
        "network": side.network,
        "format": side.format or "in memory",
        "framework": TITLES[side.backend],
        "weights": weights,
    }


def _last(layer: LayerComparison) -> dict[str, str]:
    distance = layer.float32
    return {"name": layer.name, "max_abs": _number(distance.max_abs), "relative": _number(distance.relative)}


def _scatter(found: Content) -> str:
    return "" if found.last is None else a_against_b(found.last) or ""


def _relative(layer: LayerComparison, column: str) -> float:
    return getattr(layer, column).relative


def _order(value: float) -> float:
    """NaN is worse than any number."""
    return value if math.isfinite(value) else math.inf


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN"
    if value == 0:
        return "0"
    return f"{value:.1e}" if value < 0.01 else f"{value:.2g}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
