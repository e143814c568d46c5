"""The report of exact arithmetic for programs, as plain values, and for people, as sentences and tables."""

from __future__ import annotations

from typing import Any

from effnet.parity_engine.bits import Bits
from effnet.parity_engine.exact import ExactReport
from effnet.parity_engine.grid import MANTISSA
from effnet.parity_engine.report import side_line
from effnet.plain import plain

COLUMNS = ("layer", "shape", "values", "differ in evaluation", "in training", "max|a-b|", "bits of 53", "")
TENSOR_COLUMNS = ("tensor", "shape", "values", "differ", "max|a-b|", "")
_SHOWN = 20


def document(report: ExactReport) -> dict[str, Any]:
    """The whole report for JSON: the verdict first, every layer in forward order."""
    return {
        "agrees": report.agrees,
        "first_difference": report.first_difference,
        "a": plain(report.a),
        "b": plain(report.b),
        "device": plain(report.device),
        "input": report.input,
        "notes": plain(report.notes),
        "grid": plain(report.grid),
        "seed": report.seed,
        "bits": plain(report.bits),
        "tensors": plain(report.tensors),
        "inference": plain(report.inference),
        "training": plain(report.training),
        "statistics": plain(report.statistics),
    }


def heading(report: ExactReport) -> list[str]:
    """What was compared, and what is to be known about it, in sentences."""
    notes = (*report.a.notes, *report.b.notes, *report.notes)
    return [
        f"A  {side_line(report.a)}",
        f"B  {side_line(report.b)}",
        f"input  {report.input}, on {report.device}, in exact arithmetic",
        *(f"note  {note}" for note in dict.fromkeys(notes)),
    ]


def rows(report: ExactReport, *, every_layer: bool) -> list[tuple[str, ...]]:
    """The table under `COLUMNS`. Without `every_layer`: blocks, and the first layers that differ."""
    training = {item.name: item for item in report.training}
    evaluation = {item.name: item for item in report.inference}
    shown = _shown(report, every_layer=every_layer)
    return [_row(report, evaluation.get(name), training.get(name)) for name in shown if name in evaluation | training]


def tensor_rows(report: ExactReport) -> list[tuple[str, ...]]:
    """The weights and statistics that differ, under `TENSOR_COLUMNS`, at most 20."""
    found = [(item, "") for item in report.tensors if item.differing]
    found += [(item, "after training") for item in report.statistics if item.differing]
    lines = [
        (item.name, shape_line(item), f"{item.size}", f"{item.differing}", f"{item.max_abs:.1e}", where)
        for item, where in found[:_SHOWN]
    ]
    more = len(found) - _SHOWN
    return [*lines, (f"and {more} more", "", "", "", "", "")] if more > 0 else lines


def verdict(report: ExactReport) -> list[str]:
    """The result in sentences."""
    lines: list[str] = []
    dull = [item.name for item in report.inference if item.remarks]
    if dull:
        lines.append(
            f"Careful: {len(dull)} of {len(report.inference)} layers are constant, the same for every image or not "
            f"finite, first {dull[0]}; what they have in common proves little."
        )
    if report.agrees:
        return [*lines, _same(report)]
    lines += [
        f"Different: {_count(part)} {what}."
        for part, what in (
            (report.tensors, "tensors of weights"),
            (report.inference, "layers in evaluation"),
            (report.training, "layers in training"),
            (report.statistics, "moving statistics after training"),
        )
        if any(item.differing for item in part)
    ]
    if not any(item.differing for item in (*report.inference, *report.training, *report.statistics)):
        return [
            *lines,
            f"The first layer whose weights differ is {report.first_difference}; the results of all layers are the "
            f"same on this input, with the {report.grid.weights} bits that exact arithmetic leaves of the weights.",
        ]
    lines.append(f"The first layer that differs is {report.first_difference}.")
    first = next((item for item in report.differences if item.name == report.first_difference), None)
    if first is not None and first.is_doubtful:
        lines.append(
            f"A number there lies {first.margin:.0e} steps from a boundary of the grid, so that the last bit of a "
            "float64 may have decided: repeat it with another --seed."
        )
    return lines


def _same(report: ExactReport) -> str:
    results = sum(item.size for item in (*report.inference, *report.training, *report.statistics))
    weights = sum(item.size for item in report.tensors)
    modes = f"{len(report.inference)} layers in evaluation"
    if report.training:
        modes += f" and {len(report.training)} in training"
    most = max(report.bits.values(), default=0.0)
    return (
        f"The same, bit for bit: {weights} weights, and {results} results of {modes}. "
        f"No sum needed more than {most:.0f} of {MANTISSA} bits, so that no order of summation can matter."
    )


def _count(items: tuple[Bits, ...]) -> str:
    return f"{sum(item.differing > 0 for item in items)} of {len(items)}"


def _shown(report: ExactReport, *, every_layer: bool) -> list[str]:
    differing = {item.name for item in (*report.inference, *report.training) if item.differing}
    first = [name for name in report.order if name in differing][:3]
    return [name for name in report.order if every_layer or len(name.split(".")) < 3 or name in first]


def _row(report: ExactReport, evaluation: Bits | None, training: Bits | None) -> tuple[str, ...]:
    both = [item for item in (evaluation, training) if item is not None]
    marks = ["differs"] if any(item.differing for item in both) else []
    remarks = dict.fromkeys(remark.value for item in both for remark in item.remarks)
    bits = report.bits.get(both[0].name)
    return (
        both[0].name,
        shape_line(both[0]),
        f"{both[0].size}",
        "" if evaluation is None else f"{evaluation.differing}",
        "" if training is None else f"{training.differing}",
        f"{max(item.max_abs for item in both):.1e}" if marks else "0",
        "" if bits is None else f"{bits:.0f}",
        "; ".join([*marks, *remarks]),
    )


def shape_line(item: Bits) -> str:
    """The shape, or both where they differ."""
    sides = ["absent" if shape is None else " x ".join(map(str, shape)) for shape in (item.shape, item.shape_b)]
    return sides[0] if sides[0] == sides[1] else " against ".join(sides)
