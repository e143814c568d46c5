"""The page of a comparison in exact arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from effnet.parity_engine.bits import NEAR, UNROUNDED, Bits
from effnet.parity_engine.exact import ExactReport
from effnet.parity_engine.exact_report import shape_line, verdict
from effnet.parity_engine.grid import MANTISSA
from effnet.reporting.drawing import NARROW, WIDE
from effnet.reporting.exact_plots import bits_by_depth, differing_by_depth
from effnet.reporting.parts import Fact, Headline, Parts, Setting, bad, good, number

_SHOWN = 200
"""Differing tensors in the table at most."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A layer of the table."""

    name: str
    is_part: bool
    """Of a block, and not its end."""
    agrees: bool
    remarks: str
    size: int
    evaluation: str
    training: str
    """Values that differ; empty where the layer does not act."""
    max_abs: str
    bits: str
    margin: str
    shape: str


@dataclass(frozen=True, kw_only=True)
class TensorRow:
    """Weights or statistics that differ."""

    name: str
    when: str
    size: int
    differing: int
    max_abs: str
    shape: str


def parts(report: ExactReport) -> Parts:
    """What the page shows."""
    tensors = _tensors(report)
    return Parts(
        template="exact.html",
        kind="Comparison of two networks in exact arithmetic, bit for bit",
        headline=headline(report),
        verdict=verdict(report),
        facts=_facts(report),
        settings=_settings(report),
        values={
            "first": _first(report),
            "tensors": tensors[:_SHOWN],
            "more_tensors": max(0, len(tensors) - _SHOWN),
            "mantissa": MANTISSA,
            "near": f"{NEAR:.0e}",
            "rows": _rows(report),
        },
        drawings={
            "differing_wide": differing_by_depth(report, WIDE),
            "differing_narrow": differing_by_depth(report, NARROW),
            "bits_wide": bits_by_depth(report, WIDE),
            "bits_narrow": bits_by_depth(report, NARROW),
        },
    )


def headline(report: ExactReport) -> Headline:
    """The verdict at a glance."""
    first = report.first_difference
    if first is None:
        return good("The two networks are the same, bit for bit.")
    if _differing(report.inference):
        return bad(f"The two networks differ, first at {first}.")
    if _differing(report.tensors):
        return bad(f"The weights of the two networks differ, first at {first}, but no result does.")
    return bad(f"The two networks are the same in evaluation and differ in training, first at {first}.")


def _facts(report: ExactReport) -> list[Fact]:
    facts = [
        Fact(
            title="Layers that differ",
            value=_of(report.inference),
            detail="in evaluation",
        )
    ]
    if report.training:
        facts.append(Fact(title="Layers that differ", value=_of(report.training), detail="in training"))
        facts.append(Fact(title="Moving statistics that differ", value=_of(report.statistics), detail="after training"))
    facts.append(Fact(title="Tensors of weights that differ", value=_of(report.tensors), detail="as they were loaded"))
    most = max(report.bits.values(), default=0.0)
    facts.append(Fact(title="Bits needed", value=f"{most:.0f} of {MANTISSA}", detail="for the largest sum of a layer"))
    return facts


def _settings(report: ExactReport) -> list[Setting]:
    grid = report.grid
    words = (
        f"results of layers are multiples of 2^-{grid.activations}; weights have {grid.weights} bits, shares of "
        f"experts {grid.mixture}"
    )
    seed = "no training" if report.seed is None else f"one batch, masks from seed {report.seed}"
    return [Setting(title="Grid", text=words), Setting(title="Training", text=seed)]


def _first(report: ExactReport) -> dict[str, Any] | None:
    name = report.first_difference
    if name is None:
        return None
    weights = [item for item in report.tensors if item.differing and report.layer_of(item.name) == name]
    found = [
        (words, item)
        for words, items in (("in evaluation", report.inference), ("in training", report.training))
        for item in items
        if item.name == name and item.differing
    ]
    said = [f"{item.differing} of {item.size} values of {item.name} differ" for item in weights]
    said += [f"{item.differing} of {item.size} results differ {words}" for words, item in found]
    said += [
        f"{item.differing} of {item.size} values of {item.name} differ after training"
        for item in report.statistics
        if not weights + found and item.differing and report.layer_of(item.name) == name
    ]
    return {"name": name, "what": ", and ".join(said), "is_weights": bool(weights) and not found}


def _tensors(report: ExactReport) -> list[TensorRow]:
    found = [(item, "before") for item in report.tensors] + [(item, "after training") for item in report.statistics]
    return [
        TensorRow(
            name=item.name,
            when=when,
            size=item.size,
            differing=item.differing,
            max_abs=number(item.max_abs),
            shape=shape_line(item),
        )
        for item, when in found
        if item.differing
    ]


def _rows(report: ExactReport) -> list[Row]:
    evaluation = {item.name: item for item in report.inference}
    training = {item.name: item for item in report.training}
    found: list[Row] = []
    for name in report.order:
        both = [items[name] for items in (evaluation, training) if name in items]
        if both:
            found.append(_row(report, name, evaluation.get(name), training.get(name), both))
    return found


def _row(report: ExactReport, name: str, evaluation: Bits | None, training: Bits | None, both: list[Bits]) -> Row:
    bits, margin = report.bits.get(name), min(item.margin for item in both)
    return Row(
        name=name,
        is_part=name.count(".") > 1,
        agrees=not any(item.differing for item in both),
        remarks="; ".join(dict.fromkeys(remark.value for item in both for remark in item.remarks)),
        size=both[0].size,
        evaluation="" if evaluation is None else f"{evaluation.differing}",
        training="" if training is None else f"{training.differing}",
        max_abs=number(max(item.max_abs for item in both)),
        bits="" if bits is None else f"{bits:.0f}",
        margin="" if margin == UNROUNDED else number(margin),
        shape=shape_line(both[0]),
    )


def _differing(items: tuple[Bits, ...]) -> int:
    return sum(item.differing > 0 for item in items)


def _of(items: tuple[Bits, ...]) -> str:
    return f"{_differing(items)} of {len(items)}"
