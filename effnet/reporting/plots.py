"""Drawings of a comparison as inline SVG, by Matplotlib.

Colours are those of the page: Matplotlib draws in stand-ins, which are replaced by the names of the page's variables,
so that a drawing follows the light or dark scheme. No text of a user's file is drawn.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from effnet.parity_engine.compare import Array, Comparison, LayerComparison
from effnet.reporting.content import LastLayer

_INK, _RULE = "#010101", "#020202"
_SERIES = ("#030303", "#040404", "#050505", "#060606")
_BAD = "#070707"
_VARIABLES = {
    _INK: "--ink",
    _RULE: "--rule",
    _SERIES[0]: "--series-1",
    _SERIES[1]: "--series-2",
    _SERIES[2]: "--series-3",
    _SERIES[3]: "--series-4",
    _BAD: "--bad",
}
_FLOOR = 1e-18
"""Where a difference of exactly 0 is drawn, which a logarithmic axis does not have."""
POINTS = 2000
"""Numbers of the last layer that are drawn at most."""
_FARTHEST = 200
"""Of them those that are farthest apart."""
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _INK,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "grid.color": _RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True, kw_only=True)
class Size:
    """A drawing for one kind of screen."""

    name: str
    width: float
    """Inches, at 72 units of SVG each."""
    height: float
    labels: int
    """Layers whose names fit below it."""
    font: float


WIDE = Size(name="wide", width=12.5, height=5.4, labels=22, font=10.5)
NARROW = Size(name="narrow", width=4.6, height=5.4, labels=7, font=10)


def error_by_depth(comparison: Comparison, size: Size) -> str:
    """Differences and rounding of every layer in forward order, as parts of its largest value; log scale."""
    layers = comparison.layers
    with _settings(size, salt=f"depth {size.name}"):
        figure, axes = _figure(size)
        axes.set_yscale("log")
        for series, (label, values, style) in zip(_SERIES, _curves(layers), strict=True):
            axes.plot(range(len(layers)), values, label=label, color=series, **style)
        limits = comparison.limits
        for limit, name in ((limits.float32, "limit float32"), (limits.float64, "limit float64")):
            if limit is None:
                continue  # what rounding explains is another amount at every layer
            axes.axhline(limit, color=_INK, linewidth=0.9, linestyle=(0, (1, 3)))
            place = (len(layers) - 0.4, limit)
            text: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "fontsize": size.font - 1.5}
            axes.annotate(name, place, xytext=(0, 4), **text)
        _mark_first(axes, comparison, size)
        _name_layers(axes, layers, size)
        axes.set_ylabel("|a - b| as a part of the layer's largest value")
        axes.set_ylim(_FLOOR / 3, max(1e3, 1e3 * _highest(layers)))
        ticks = [10.0**power for power in range(-16, math.ceil(math.log10(axes.get_ylim()[1])), 2)]
        axes.set_yticks([_FLOOR, *ticks], ["0", *(_power(tick) for tick in ticks)])
        axes.grid(axis="y", linewidth=0.5)
        axes.minorticks_off()
        columns = 4 if size is WIDE else 2
        figure.legend(loc="outside upper left", ncols=columns, frameon=False, fontsize=size.font - 0.5)
        return _svg(figure, _described(comparison))


def a_against_b(last: LastLayer) -> str | None:
    """Every number of the last layer in float32, a's across and b's up; None where none is finite."""
    a, b = last.a_float32.astype(np.float64).reshape(-1), last.b_float32.astype(np.float64).reshape(-1)
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    if a.size == 0:
        return None
    shown = _chosen(a, b)
    size = Size(name="square", width=5.2, height=5.0, labels=0, font=10)
    with _settings(size, salt="last layer"):
        figure, axes = _figure(size)
        low, high = float(min(a.min(), b.min())), float(max(a.max(), b.max()))
        margin = 0.05 * (high - low) or 1.0
        ends = (low - margin, high + margin)
        axes.plot(ends, ends, color=_RULE, linewidth=1.2, zorder=1)
        axes.plot(a[shown], b[shown], linestyle="none", marker="o", markersize=3.2, color=_SERIES[0], alpha=0.65)
        axes.set_xlim(ends)
        axes.set_ylim(ends)
        axes.set_aspect("equal")
        axes.set_xlabel(f"{last.name} of A")
        axes.set_ylabel(f"{last.name} of B")
        axes.grid(linewidth=0.4)
        text = f"{len(shown)} numbers of {last.name}: A across, B up; equal numbers lie on the diagonal line."
        return _svg(figure, f"{text} The largest difference is {np.abs(a - b).max():.2g}.")


def _curves(layers: Sequence[LayerComparison]) -> list[tuple[str, list[float], dict[str, Any]]]:
    line: dict[str, Any] = {"linewidth": 1.6, "markersize": 4}
    thin: dict[str, Any] = {"linewidth": 1.2, "markersize": 4, "markerfacecolor": "none"}
    return [
        ("A against B, float64", [_drawn(one.float64.relative) for one in layers], line | {"marker": "o"}),
        ("A against B, float32", [_drawn(one.float32.relative) for one in layers], line | {"marker": "s"}),
        (
            "A's own rounding",
            [_drawn(one.own_a.relative) for one in layers],
            thin | {"marker": "^", "linestyle": "--"},
        ),
        (
            "B's own rounding",
            [_drawn(one.own_b.relative) for one in layers],
            thin | {"marker": "v", "linestyle": ":"},
        ),
    ]


def _drawn(value: float) -> float:
    """NaN leaves a gap."""
    return max(value, _FLOOR) if math.isfinite(value) else math.nan


def _highest(layers: Sequence[LayerComparison]) -> float:
    found = [one for layer in layers for one in (layer.float64.relative, layer.float32.relative) if math.isfinite(one)]
    return max(found, default=0.0)


def _mark_first(axes: Any, comparison: Comparison, size: Size) -> None:
    names = [layer.name for layer in comparison.layers]
    if comparison.first_difference is None:
        return
    place = names.index(comparison.first_difference)
    axes.axvline(place, color=_BAD, linewidth=1.4)
    side = "right" if place > len(names) / 2 else "left"
    rounding = all(layer.agrees64 for layer in comparison.layers)
    what = "first beyond the limit" if rounding else "first difference"
    mark = axes.annotate(
        f"{what}:{' ' if size is WIDE else chr(10)}{comparison.first_difference}",
        (place, 1),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        xytext=(-6 if side == "right" else 6, -2),
        horizontalalignment=side,
        verticalalignment="top",
        color=_BAD,
        fontweight="bold",
    )
    mark.set_in_layout(False)  # else the drawing would shrink to make room for it


def _name_layers(axes: Any, layers: Sequence[LayerComparison], size: Size) -> None:
    """Names of stem, blocks and what follows, as many as fit; the last one always."""
    apart = len(layers) / size.labels
    shown: list[int] = []
    for place in reversed(range(len(layers))):
        if layers[place].name.count(".") < 2 and (not shown or shown[-1] - place >= apart):
            shown.append(place)
    axes.set_xticks(shown, [layers[place].name for place in shown], rotation=50, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.8, len(layers) - 0.2)


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


def _power(value: float) -> str:
    return f"1e{round(math.log10(value))}" if value != 1 else "1"


def _settings(size: Size, *, salt: str) -> Any:
    settings = _SETTINGS | {"font.size": size.font, "svg.hashsalt": salt}
    return import_module("matplotlib").rc_context(settings)


def _figure(size: Size) -> tuple[Any, Any]:
    figure: Any = import_module("matplotlib.figure").Figure(figsize=(size.width, size.height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    return figure, axes


def _svg(figure: Any, description: str) -> str:
    """The drawing as an element for the page, without the head of a file of its own."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    text = re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), count=1, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"<g ([^>]*)>\s*((?:<use [^>]*/>\s*){2,})</g>", _hoisted, text)
    for stand_in, name in _VARIABLES.items():
        text = text.replace(stand_in, f"var({name})")
    text = re.sub(r"\n\s*\n+", "\n", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{_attribute(description)}" ', 1)


def _hoisted(group: re.Match[str]) -> str:
    """A group of points with their common style said once, and places to a tenth of a unit."""
    attributes, points = group.groups()
    styles = set(re.findall(r' style="([^"]*)"', points))
    if len(styles) == 1:
        attributes += f' style="{styles.pop()}"'
        points = re.sub(r' style="[^"]*"', "", points)
    points = re.sub(r'([xy])="([-0-9.]+)"', lambda place: f'{place[1]}="{float(place[2]):.1f}"', points)
    return f"<g {attributes}>\n{points}</g>"


def _attribute(text: str) -> str:
    from html import escape

    return escape(text, quote=True)
