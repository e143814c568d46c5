"""Drawings of an ordinary comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from effnet.parity_engine.compare import Array, Comparison, LayerComparison
from effnet.reporting.content import LastLayer
from effnet.reporting.drawing import (
    RULE,
    SERIES,
    SQUARE,
    Size,
    drawn,
    figure_of,
    legend,
    limit_line,
    log_axis,
    mark,
    name_layers,
    settings,
    svg,
)

POINTS = 2000
"""Numbers of the last layer that are drawn at most."""
_FARTHEST = 200
"""Of them those that are farthest apart."""


def error_by_depth(comparison: Comparison, size: Size) -> str:
    """Differences and rounding of every layer in forward order, as parts of its largest value; log scale."""
    layers = comparison.layers
    with settings(size, salt="depth"):
        figure, axes = figure_of(size)
        log_axis(axes, _highest(layers))
        for series, (label, values, style) in zip(SERIES, _curves(layers), strict=False):
            axes.plot(range(len(layers)), values, label=label, color=series, **style)
        limits = comparison.limits
        for limit, name in ((limits.float32, "limit float32"), (limits.float64, "limit float64")):
            if limit is not None:  # what rounding explains is another amount at every layer
                limit_line(axes, limit, name, len(layers) - 0.4, size)
        _mark_first(axes, comparison, size)
        name_layers(axes, [layer.name for layer in layers], size)
        axes.set_ylabel("|a - b| as a part of the layer's largest value")
        legend(figure, size)
        return svg(figure, _described(comparison))


def a_against_b(last: LastLayer) -> str | None:
    """Every number of the last layer in float32, a's across and b's up; None where none is finite."""
    a, b = last.a_float32.astype(np.float64).reshape(-1), last.b_float32.astype(np.float64).reshape(-1)
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    if a.size == 0:
        return None
    shown = _chosen(a, b)
    with settings(SQUARE, salt="last layer"):
        figure, axes = figure_of(SQUARE)
        low, high = float(min(a.min(), b.min())), float(max(a.max(), b.max()))
        margin = 0.05 * (high - low) or 1.0
        ends = (low - margin, high + margin)
        axes.plot(ends, ends, color=RULE, linewidth=1.2, zorder=1)
        axes.plot(a[shown], b[shown], linestyle="none", marker="o", markersize=3.2, color=SERIES[0], alpha=0.65)
        axes.set_xlim(ends)
        axes.set_ylim(ends)
        axes.set_aspect("equal")
        axes.set_xlabel(f"{last.name} of A")
        axes.set_ylabel(f"{last.name} of B")
        axes.grid(linewidth=0.4)
        text = f"{len(shown)} numbers of {last.name}: A across, B up; equal numbers lie on the diagonal line."
        return svg(figure, f"{text} The largest difference is {np.abs(a - b).max():.2g}.")


def _curves(layers: Sequence[LayerComparison]) -> list[tuple[str, list[float], dict[str, Any]]]:
    line: dict[str, Any] = {"linewidth": 1.6, "markersize": 4}
    thin: dict[str, Any] = {"linewidth": 1.2, "markersize": 4, "markerfacecolor": "none"}
    return [
        ("A against B, float64", [drawn(one.float64.relative) for one in layers], line | {"marker": "o"}),
        ("A against B, float32", [drawn(one.float32.relative) for one in layers], line | {"marker": "s"}),
        (
            "A's own rounding",
            [drawn(one.own_a.relative) for one in layers],
            thin | {"marker": "^", "linestyle": "--"},
        ),
        (
            "B's own rounding",
            [drawn(one.own_b.relative) for one in layers],
            thin | {"marker": "v", "linestyle": ":"},
        ),
    ]


def _highest(layers: Sequence[LayerComparison]) -> float:
    found = [one for layer in layers for one in (layer.float64.relative, layer.float32.relative) if math.isfinite(one)]
    return max(found, default=0.0)


def _mark_first(axes: Any, comparison: Comparison, size: Size) -> None:
    names = [layer.name for layer in comparison.layers]
    if comparison.first_difference is None:
        return
    rounding = all(layer.agrees64 for layer in comparison.layers)
    words = "first beyond the limit" if rounding else "first difference"
    mark(axes, names.index(comparison.first_difference), len(names), words, comparison.first_difference, size)


def _chosen(a: Array, b: Array) -> list[int]:
    """Places of the numbers that are drawn: evenly spaced ones, and those that are farthest apart."""
    if a.size <= POINTS:
        return list(range(a.size))
    step = math.ceil(a.size / (POINTS - _FARTHEST))
    return sorted({*range(0, a.size, step), *np.argsort(np.abs(a - b))[-_FARTHEST:].tolist()})


def _described(comparison: Comparison) -> str:
    layers = comparison.layers
    first = comparison.first_difference
    ends = "No layer differs by more than a limit." if first is None else f"The first layer that differs is {first}."
    return (
        f"Differences of {len(layers)} layers from {layers[0].name} to {layers[-1].name} as parts of the largest value "
        f"of each, on a logarithmic scale; the table below has the numbers. {ends}"
    )
