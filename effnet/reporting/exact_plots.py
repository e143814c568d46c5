"""Drawings of a comparison in exact arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from effnet.parity_engine.bits import Bits
from effnet.parity_engine.exact import ExactReport
from effnet.parity_engine.grid import MANTISSA
from effnet.reporting.drawing import SERIES, Size, figure_of, legend, limit_line, mark, name_layers, settings, svg

_WHOLE = 100
"""Percent."""


def differing_by_depth(report: ExactReport, size: Size) -> str:
    """The share of the values of every layer that differ, in evaluation and in training."""
    order = report.order
    with settings(size, salt="differing"):
        figure, axes = figure_of(size)
        for series, (label, items, style) in enumerate(
            (
                ("in evaluation", report.inference, {"marker": "o", "linewidth": 1.6}),
                ("in training", report.training, {"marker": "s", "linewidth": 1.2, "linestyle": "--"}),
            )
        ):
            if items:
                shares = _shares(items)
                places = [place for place, name in enumerate(order) if name in shares]
                values = [shares[order[place]] for place in places]
                filled: dict[str, Any] = {"markerfacecolor": "none"} if series else {}
                axes.plot(places, values, label=label, color=SERIES[series], markersize=4, **style, **filled)
        first = report.first_difference
        if first is not None:
            mark(axes, order.index(first), len(order), "first difference", first, size)
        axes.set_ylim(-3, 1.12 * _WHOLE)
        axes.set_yticks(range(0, _WHOLE + 1, 20))
        axes.set_ylabel("values that differ, of 100")
        axes.grid(axis="y", linewidth=0.5)
        name_layers(axes, order, size)
        legend(figure, size)
        found = "No value of any layer differs." if not any(_counts(report)) else f"First of all differs {first}."
        return svg(figure, f"Of {len(order)} layers, the share of values that differ in a bit. {found}")


def bits_by_depth(report: ExactReport, size: Size) -> str:
    """The bits that the sums of each layer with weights need, below those that a float64 has."""
    order = report.order
    places = [place for place, name in enumerate(order) if name in report.bits]
    values = [report.bits[order[place]] for place in places]
    with settings(size, salt="bits"):
        figure, axes = figure_of(size)
        axes.bar(places, values, color=SERIES[3], width=0.8)
        limit_line(axes, MANTISSA, "bits of a float64", len(order) - 0.4, size)
        axes.set_ylim(0, MANTISSA + 7)
        axes.set_ylabel("bits of the largest sum")
        axes.grid(axis="y", linewidth=0.5)
        name_layers(axes, order, size)
        most = f"{max(values):.0f}" if values else "none"
        return svg(figure, f"The bits that sums of {len(values)} layers need at most: {most} of {MANTISSA}.")


def _shares(items: Sequence[Bits]) -> Mapping[str, float]:
    return {item.name: _WHOLE * item.differing / max(item.size, 1) for item in items}


def _counts(report: ExactReport) -> list[int]:
    return [item.differing for item in (*report.inference, *report.training)]
