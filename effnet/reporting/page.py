"""A comparison as one page of HTML that needs nothing else: no script, no network, no other file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from effnet.frameworks import TITLES
from effnet.parity_engine.exact import ExactReport
from effnet.parity_engine.run import Side
from effnet.parity_engine.training import TrainingReport
from effnet.reporting import comparison_page, exact_page, training_page
from effnet.reporting.content import Content
from effnet.reporting.parts import Parts, printable

_FOLDER = Path(__file__).parent


def page(found: Content) -> str:
    """The page. Everything that comes from files and their names is escaped."""
    jinja2: Any = import_module("jinja2")
    markup: Any = import_module("markupsafe").Markup
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    parts = _parts(found)
    return environment.get_template(parts.template).render(
        **_values(found, parts),
        **parts.values,
        # Of this project alone: the style and the drawings.
        style=markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
        drawings={name: markup(drawing) for name, drawing in parts.drawings.items()},
    )


def _parts(found: Content) -> Parts:
    match found.report:
        case ExactReport():
            return exact_page.parts(found.report)
        case TrainingReport():
            return training_page.parts(found.report)
        case _:
            return comparison_page.parts(found.report, found.last)


def _values(found: Content, parts: Parts) -> dict[str, Any]:
    """What the frame of every page needs."""
    report = found.report
    weights = found.weights or (None, None)
    return {
        "a": report.a,
        "b": report.b,
        "kind": parts.kind,
        "headline": parts.headline,
        "verdict": [printable(line) for line in parts.verdict],
        "facts": parts.facts,
        "sides": [_side("A", report.a, weights[0]), _side("B", report.b, weights[1])],
        "same_weights": None if found.weights is None else weights[0] == weights[1],
        "input": report.input,
        "device": report.device.value,
        "settings": parts.settings,
        "notes": list(dict.fromkeys((*report.a.notes, *report.b.notes, *report.notes))),
        "command": found.command,
        "environment": found.environment,
        "created": found.created,
    }


def _side(letter: str, side: Side, weights: str | None) -> dict[str, Any]:
    return {
        "letter": letter,
        "name": side.name,
        "network": side.network,
        "format": side.format or "in memory",
        "framework": TITLES[side.backend],
        "weights": weights,
    }
