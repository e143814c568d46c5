"""The page of two trainings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from effnet.parity_engine.training import TrainingReport
from effnet.parity_engine.training_compare import Kind, StepComparison
from effnet.parity_engine.training_report import summary, unexplained
from effnet.plain import plain
from effnet.reporting.drawing import NARROW, WIDE
from effnet.reporting.parts import Fact, Headline, Parts, Setting, bad, good, number, order, printable, shape_of
from effnet.reporting.training_plots import difference_by_depth, difference_by_step, loss_by_step

_OF_TENSORS = tuple(kind for kind in Kind if kind is not Kind.LOSS)


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """A step of the table."""

    number: int
    agrees: bool
    rate: str
    loss_a: str
    loss_b: str
    cells: tuple[str, ...]
    """Float64 and float32 of each kind."""


@dataclass(frozen=True, kw_only=True)
class TensorRow:
    """A tensor of the table."""

    name: str
    agrees: bool
    cells: tuple[str, ...]
    """Float64 and float32 of each kind but the loss; empty where it has none."""


def parts(report: TrainingReport) -> Parts:
    """What the page shows."""
    return Parts(
        template="training.html",
        kind="Comparison of two trainings, step by step",
        headline=headline(report),
        verdict=summary(report),
        facts=_facts(report),
        settings=_settings(report),
        values={
            "first": _first(report),
            "causes": report.causes,
            "kinds": [kind.value for kind in Kind],
            "tensor_kinds": [kind.value for kind in _OF_TENSORS],
            "limit": f"{report.limit:g}",
            "steps": [_step(step) for step in report.steps],
            "tensors": _tensors(report),
            "sites": [
                {"name": site.name, "rate": f"{site.rate:g}", "shape": shape_of(site.shape)} for site in report.sites
            ],
        },
        drawings={
            f"{name}_{size.name}": draw(report, size)
            for name, draw in (("loss", loss_by_step), ("steps", difference_by_step), ("depth", difference_by_depth))
            for size in (WIDE, NARROW)
        },
    )


def headline(report: TrainingReport) -> Headline:
    """The verdict at a glance."""
    found, steps = report.difference, len(report.steps)
    if report.agrees:
        return good(f"The two trainings are the same in {steps} {'step' if steps == 1 else 'steps'}.")
    if found is None:
        return bad(f"Nothing is apart in {steps} steps, but the two networks or recipes are not the same.")
    where = "in the loss" if found.kind is Kind.LOSS else f"in the {found.kind.value} of {found.tensor}"
    return bad(f"The two trainings part at step {found.step}, first {where}.")


def _facts(report: TrainingReport) -> list[Fact]:
    steps = report.steps
    agreeing = sum(_agrees(step) for step in steps)
    facts = [Fact(title="Steps that agree", value=f"{agreeing} of {len(steps)}", detail="in float64")]
    for precision in ("float64", "float32"):
        worst = max(report.tensors, key=lambda one: order(getattr(one, precision)))
        detail = worst.kind.value if worst.kind is Kind.LOSS else f"{worst.kind.value} of {worst.name}"
        facts.append(
            Fact(title=f"Farthest apart in {precision}", value=number(getattr(worst, precision)), detail=detail)
        )
    ends = f"{steps[-1].loss_a:.4g}"
    facts.append(Fact(title="Loss of A", value=ends, detail=f"after {steps[0].loss_a:.4g} at step 0"))
    facts.append(Fact(title="Layers that drop", value=f"{len(report.sites)}", detail="by the same masks"))
    return facts


def _settings(report: TrainingReport) -> list[Setting]:
    recipe = "; ".join(f"{name} {value}" for name, value in _leaves("", plain(report.recipe)))
    labels = ", ".join(map(str, report.labels))
    return [
        Setting(title="Recipe", text=recipe),
        Setting(title="Masks", text=f"from seed {report.seed}, as are labels that were not given"),
        Setting(title="Labels", text=labels),
        Setting(title="Running variance", text="biased, in PyTorch too, as TensorFlow has it"),
    ]


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from _leaves(f"{path}.{key}" if path else key, item)
    else:
        yield path, value


def _first(report: TrainingReport) -> str:
    found = report.difference
    if found is None:
        return ""
    name = "the loss" if found.kind is Kind.LOSS else f"the {found.kind.value} of {found.tensor}"
    before = "" if found.step == 0 else f" Everything before step {found.step} agrees."
    why = "".join(f" {line}" for line in unexplained(report))
    return printable(
        f"At step {found.step} {name} is {number(found.relative)} of its largest value apart in float64; allowed are "
        f"{report.limit:g}, or what rounding explains.{before} What is computed later may only follow from this.{why}"
    )


def _step(step: StepComparison) -> StepRow:
    found = [step.kinds.get(kind) for kind in Kind]
    cells = [("", "") if one is None else (number(one.float64), number(one.float32)) for one in found]
    return StepRow(
        number=step.step,
        agrees=_agrees(step),
        rate=f"{step.learning_rate:.4g}",
        loss_a=f"{step.loss_a:.6f}",
        loss_b=f"{step.loss_b:.6f}",
        cells=tuple(cell for pair in cells for cell in pair),
    )


def _agrees(step: StepComparison) -> bool:
    return all(found.first is None for found in step.kinds.values())


def _tensors(report: TrainingReport) -> list[TensorRow]:
    found = {(one.name, one.kind): one for one in report.tensors if one.kind is not Kind.LOSS}
    rows: list[TensorRow] = []
    for name in dict.fromkeys(name for name, _ in found):
        of_kind = [found.get((name, kind)) for kind in _OF_TENSORS]
        cells = [("", "") if one is None else (number(one.float64), number(one.float32)) for one in of_kind]
        agrees = all(one.agrees for one in of_kind if one is not None)
        rows.append(TensorRow(name=name, agrees=agrees, cells=tuple(cell for pair in cells for cell in pair)))
    return rows
