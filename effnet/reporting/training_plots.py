"""Drawings of two trainings."""

from __future__ import annotations

import math
from typing import Any

from effnet.parity_engine.training import TrainingReport
from effnet.parity_engine.training_compare import Kind
from effnet.reporting.drawing import (
    SERIES,
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

_MARKERS = ("o", "s", "^", "v", "D")


def loss_by_step(report: TrainingReport, size: Size) -> str:
    """The loss of both sides in both precisions."""
    steps = [step.step for step in report.steps]
    thick: dict[str, Any] = {"linewidth": 4, "alpha": 0.45}
    thin: dict[str, Any] = {"linewidth": 1.2, "marker": "o", "markersize": 4}
    points: dict[str, Any] = {"linestyle": "none", "markerfacecolor": "none", "markersize": 8}
    curves = (
        ("A, float64", [step.loss_a for step in report.steps], thick),
        ("B, float64", [step.loss_b for step in report.steps], thin),
        ("A, float32", [step.loss_a32 for step in report.steps], points | {"marker": "^"}),
        ("B, float32", [step.loss_b32 for step in report.steps], points | {"marker": "v"}),
    )
    with settings(size, salt="loss"):
        figure, axes = figure_of(size)
        for series, (label, values, style) in zip(SERIES, curves, strict=False):
            finite = [value if math.isfinite(value) else math.nan for value in values]
            axes.plot(steps, finite, label=label, color=series, **style)
        _step_axis(axes, report)
        axes.set_ylabel("loss")
        axes.grid(axis="y", linewidth=0.5)
        legend(figure, size)
        ends = f"from {report.steps[0].loss_a:.4g} to {report.steps[-1].loss_a:.4g} for A"
        return svg(figure, f"The loss of {len(steps)} steps, {ends} in float64; the table below has the numbers.")


def difference_by_step(report: TrainingReport, size: Size) -> str:
    """The largest difference of each kind after each step, float64 as lines, float32 dashed; log scale."""
    steps = [step.step for step in report.steps]
    highest = 0.0
    with settings(size, salt="steps"):
        figure, axes = figure_of(size)
        for series, marker, kind in zip(SERIES, _MARKERS, Kind, strict=True):
            found = [step.kinds.get(kind) for step in report.steps]
            if not any(found):
                continue
            wide = [math.nan if one is None else one.float64 for one in found]
            narrow = [math.nan if one is None else one.float32 for one in found]
            highest = max([highest, *(value for value in (*wide, *narrow) if math.isfinite(value))])
            style: dict[str, Any] = {"color": series, "marker": marker}
            axes.plot(steps, [drawn(one) for one in wide], label=kind.value, linewidth=1.6, markersize=4, **style)
            fine: dict[str, Any] = {"linewidth": 1, "markersize": 3, "linestyle": "--", "markerfacecolor": "none"}
            axes.plot(steps, [drawn(one) for one in narrow], **style, **fine)
        log_axis(axes, highest)
        _step_axis(axes, report)
        limit_line(axes, report.limit, "limit float64", steps[-1] + 0.3, size)
        if report.difference is not None:
            words = f"{report.difference.kind.value} of step {report.difference.step}"
            mark(axes, report.difference.step, len(steps), "first difference", words, size)
        axes.set_ylabel("largest |a - b| of a kind, as a part of the largest value")
        legend(figure, size)
        text = f"Differences of {len(steps)} steps by kind on a logarithmic scale; the table below has the numbers."
        return svg(figure, text)


def difference_by_depth(report: TrainingReport, size: Size) -> str:
    """Every tensor by itself in float64, the largest of all steps, in forward order; log scale."""
    names = list(dict.fromkeys(one.name for one in report.tensors if one.kind is not Kind.LOSS))
    places = {name: place for place, name in enumerate(names)}
    highest = max((one.float64 for one in report.tensors if math.isfinite(one.float64)), default=0.0)
    with settings(size, salt="depth"):
        figure, axes = figure_of(size)
        for series, marker, kind in zip(SERIES, _MARKERS, Kind, strict=True):
            found = [one for one in report.tensors if one.kind is kind and kind is not Kind.LOSS]
            if found:
                style: dict[str, Any] = {"color": series, "marker": marker, "markersize": 3.2, "linestyle": "none"}
                values = [drawn(one.float64) for one in found]
                axes.plot([places[one.name] for one in found], values, label=kind.value, **style)
        log_axis(axes, highest)
        limit_line(axes, report.limit, "limit float64", len(names) - 0.4, size)
        name_layers(axes, [_layer(name) for name in names], size)
        axes.set_ylabel("largest |a - b| of all steps, float64")
        legend(figure, size)
        return svg(figure, f"Differences of {len(names)} tensors in forward order; the table below has the numbers.")


def _step_axis(axes: Any, report: TrainingReport) -> None:
    count = len(report.steps)
    every = max(1, math.ceil(count / 12))
    axes.set_xticks(range(0, count, every))
    axes.set_xlim(-0.4, count - 0.6)
    axes.set_xlabel("step")


def _layer(name: str) -> str:
    """Two parts of a name are enough below a drawing."""
    return ".".join(name.split(".")[:2])
