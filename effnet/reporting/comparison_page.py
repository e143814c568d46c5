"""The page of an ordinary comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from effnet.parity_engine.compare import Comparison, LayerComparison
from effnet.parity_engine.report import TENSOR_COLUMNS, allowed, explanations, tensor_rows, verdict
from effnet.parity_engine.run import ParityReport
from effnet.reporting.content import LastLayer
from effnet.reporting.drawing import NARROW, WIDE
from effnet.reporting.parts import Fact, Headline, Parts, bad, good, number, order, printable, shape_of
from effnet.reporting.plots import POINTS, a_against_b, error_by_depth

_COLUMNS = ("float64", "float32", "own_a", "own_b")


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


def parts(report: ParityReport, last: LastLayer | None) -> Parts:
    """What the page shows; `last`: the numbers of the last layer, where they were kept."""
    comparison = report.comparison
    return Parts(
        template="comparison.html",
        kind="Comparison of two networks, layer by layer",
        headline=headline(comparison),
        verdict=verdict(comparison)[::-1],
        facts=_facts(comparison),
        values={
            "first": _first(comparison),
            "explanations": [printable(line) for line in explanations(report.diagnosis)],
            "tensor_columns": TENSOR_COLUMNS,
            "tensors": [] if report.diagnosis is None else tensor_rows(report.diagnosis),
            "limits": {"float64": allowed(comparison.limits.float64), "float32": allowed(comparison.limits.float32)},
            "last": _last(comparison.layers[-1]),
            "points": POINTS,
            "scatter_all": 0 if last is None else last.a_float32.size,
            "rows": _rows(comparison),
        },
        drawings={
            "depth_wide": error_by_depth(comparison, WIDE),
            "depth_narrow": error_by_depth(comparison, NARROW),
            "scatter": "" if last is None else a_against_b(last) or "",
        },
    )


def headline(comparison: Comparison) -> Headline:
    """The verdict at a glance. Float64 tells a difference of meaning from rounding."""
    layers = comparison.layers
    if comparison.agrees:
        return good("The two networks compute the same.")
    if all(layer.agrees64 for layer in layers):
        beyond = sum(not layer.agrees for layer in layers)
        where = f"{beyond} of {len(layers)} layers"
        text = f"The two networks compute the same in float64. In float32 rounding goes beyond the limit at {where}."
        return Headline(text=text, mark="≈", kind="rounding")
    return bad(f"The two networks differ, first at {comparison.first_difference}.")


def _facts(comparison: Comparison) -> list[Fact]:
    layers = comparison.layers
    agreeing = sum(layer.agrees for layer in layers)
    facts = [Fact(title="Layers that agree", value=f"{agreeing} of {len(layers)}", detail="in float64 and in float32")]
    for precision in ("float64", "float32"):
        worst = max(layers, key=lambda layer: order(_relative(layer, precision)))
        of_largest = "of the largest value, " if math.isfinite(_relative(worst, precision)) else ""
        facts.append(
            Fact(
                title=f"Farthest apart in {precision}",
                value=number(_relative(worst, precision)),
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
    numbers = {column: number(_relative(layer, column)) for column in _COLUMNS}
    return {"before": names[place - 1] if place else None, "row": {"name": layer.name} | numbers}


def _rows(comparison: Comparison) -> list[Row]:
    layers = comparison.layers
    worst = {column: max(order(_relative(layer, column)) for layer in layers) for column in _COLUMNS}
    return [
        Row(
            name=layer.name,
            is_part=layer.name.count(".") > 1,
            agrees=layer.agrees,
            remarks="; ".join(remark.value for remark in layer.remarks),
            cells=tuple(
                Cell(
                    text=number(_relative(layer, column)),
                    worst=worst[column] > 0 and order(_relative(layer, column)) == worst[column],
                )
                for column in _COLUMNS
            ),
            largest=f"{layer.largest:.4g}",
            shape=shape_of(layer.shape),
        )
        for layer in layers
    ]


def _last(layer: LayerComparison) -> dict[str, str]:
    distance = layer.float32
    return {"name": layer.name, "max_abs": number(distance.max_abs), "relative": number(distance.relative)}


def _relative(layer: LayerComparison, column: str) -> float:
    return getattr(layer, column).relative
