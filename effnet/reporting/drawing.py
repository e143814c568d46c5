"""How drawings are made: inline SVG by Matplotlib, in the colours of the page.

Matplotlib draws in stand-ins, which are replaced by the names of the page's variables, so that a drawing follows the
light or dark scheme. No text of a user's file is drawn.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

INK, RULE = "#010101", "#020202"
SERIES = ("#030303", "#040404", "#050505", "#060606", "#080808")
BAD = "#070707"
_VARIABLES = {
    INK: "--ink",
    RULE: "--rule",
    SERIES[0]: "--series-1",
    SERIES[1]: "--series-2",
    SERIES[2]: "--series-3",
    SERIES[3]: "--series-4",
    SERIES[4]: "--series-5",
    BAD: "--bad",
}
FLOOR = 1e-18
"""Where a difference of exactly 0 is drawn, which a logarithmic axis does not have."""
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": RULE,
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
    columns: int
    """Of the legend."""


WIDE = Size(name="wide", width=12.5, height=5.4, labels=22, font=10.5, columns=5)
NARROW = Size(name="narrow", width=4.6, height=5.4, labels=7, font=10, columns=2)
SQUARE = Size(name="square", width=5.2, height=5.0, labels=0, font=10, columns=2)


def settings(size: Size, *, salt: str) -> Any:
    """A context in which everything is drawn; `salt` keeps the marks of several drawings on a page apart."""
    chosen = _SETTINGS | {"font.size": size.font, "svg.hashsalt": f"{salt} {size.name}"}
    return import_module("matplotlib").rc_context(chosen)


def figure_of(size: Size) -> tuple[Any, Any]:
    """A figure without background, and its axes."""
    figure: Any = import_module("matplotlib.figure").Figure(figsize=(size.width, size.height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    return figure, axes


def legend(figure: Any, size: Size) -> None:
    """Above the drawing."""
    figure.legend(loc="outside upper left", ncols=size.columns, frameon=False, fontsize=size.font - 0.5)


def drawn(value: float) -> float:
    """On a logarithmic axis; NaN leaves a gap."""
    return max(value, FLOOR) if math.isfinite(value) else math.nan


def log_axis(axes: Any, highest: float) -> None:
    """Differences from 0, which has a place of its own, to a bit more than the highest one and than 1."""
    axes.set_yscale("log")
    axes.set_ylim(FLOOR / 3, max(1e3, 1e3 * highest))
    ticks = [10.0**power for power in range(-16, math.ceil(math.log10(axes.get_ylim()[1])), 2)]
    axes.set_yticks([FLOOR, *ticks], ["0", *(_power(tick) for tick in ticks)])
    axes.grid(axis="y", linewidth=0.5)
    axes.minorticks_off()


def limit_line(axes: Any, limit: float, name: str, place: float, size: Size) -> None:
    """A dotted line with its name above its right end."""
    axes.axhline(limit, color=INK, linewidth=0.9, linestyle=(0, (1, 3)))
    text: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "fontsize": size.font - 1.5}
    axes.annotate(name, (place, limit), xytext=(0, 4), **text)


def mark(axes: Any, place: float, last: float, words: str, name: str, size: Size) -> None:
    """A line up from a place of the axis that ends at `last`, with words that say why."""
    axes.axvline(place, color=BAD, linewidth=1.4)
    side = "right" if place > last / 2 else "left"
    note = axes.annotate(
        f"{words}:{' ' if size is WIDE else chr(10)}{name}",
        (place, 1),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        xytext=(-6 if side == "right" else 6, -2),
        horizontalalignment=side,
        verticalalignment="top",
        color=BAD,
        fontweight="bold",
    )
    note.set_in_layout(False)  # else the drawing would shrink to make room for it


def name_layers(axes: Any, names: Sequence[str], size: Size) -> None:
    """Names of stem, blocks and what follows, as many as fit; the last one always."""
    apart = len(names) / size.labels
    shown: list[int] = []
    for place in reversed(range(len(names))):
        if names[place].count(".") < 2 and (not shown or shown[-1] - place >= apart):
            shown.append(place)
    axes.set_xticks(shown, [names[place] for place in shown], rotation=50, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.8, len(names) - 0.2)


def _power(value: float) -> str:
    return f"1e{round(math.log10(value))}" if value != 1 else "1"


def svg(figure: Any, description: str) -> str:
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
