"""A report of two trainings for programs, as plain values, and for people, as sentences and the rows of a table."""

from __future__ import annotations

from typing import Any

from effnet.parity_engine.report import side_line
from effnet.parity_engine.training import TrainingReport
from effnet.parity_engine.training_compare import Kind, StepComparison
from effnet.plain import plain

COLUMNS = (
    "step",
    "learning rate",
    "loss of a",
    "loss of b",
    *(f"{kind.value} {precision}" for kind in Kind for precision in ("64", "32")),
    "",
)


def document(report: TrainingReport) -> dict[str, Any]:
    """The whole report for JSON: the verdict first, then every step."""
    return {"agrees": report.agrees, **plain(report)}


def heading(report: TrainingReport) -> list[str]:
    """What was compared, in sentences."""
    notes = (*report.a.notes, *report.b.notes, *report.notes)
    return [
        f"A  {side_line(report.a)}",
        f"B  {side_line(report.b)}",
        f"input  {report.input}, on {report.device}; {len(report.sites)} layers drop values, by the same masks",
        *(f"note  {note}" for note in dict.fromkeys(notes)),
    ]


def rows(report: TrainingReport) -> list[tuple[str, ...]]:
    """The table under `COLUMNS`: for each step the largest difference of each kind in float64 and in float32."""
    return [_row(step) for step in report.steps]


def summary(report: TrainingReport) -> list[str]:
    """The result in sentences, without its causes."""
    found, steps = report.difference, f"{len(report.steps)} {'step' if len(report.steps) == 1 else 'steps'}"
    allowed = f"{report.limit:g} of each tensor's largest value in float64, or what rounding explains"
    lines: list[str] = []
    if report.agrees:
        lines.append(f"The same: in {steps} everything agrees within {allowed}.")
    elif found is not None:
        what = "the loss is" if found.kind is Kind.LOSS else f"{found.kind.value} {found.tensor},"
        lines.append(f"Different: beyond {allowed}, first at step {found.step}: {what} {found.relative:.1e} apart.")
    else:
        lines.append(f"Different: in {steps} nothing is, but the networks or their recipes are.")
    if all(step.learning_rate == 0 for step in report.steps):
        lines.append(
            "The learning rate was 0 throughout, as a warm-up begins: no weight moved, and the optimisers were not "
            "compared. Take more steps."
        )
    if report.shaken_from is not None:
        lines.append(
            f"From step {report.shaken_from} on rounding is amplified so far that float32 loses some tensors; "
            "what it explains in float64 is measured by A trained once more, with other last bits of its weights."
        )
    return lines


def verdict(report: TrainingReport) -> list[str]:
    """The result in sentences."""
    causes = [f"cause  {cause.side}, {cause.tensor}: {cause.explanation}" for cause in report.causes]
    return [*summary(report), *causes, *unexplained(report)]


def unexplained(report: TrainingReport) -> list[str]:
    """What to do about a difference that no known mistake explains; nothing where one does."""
    found = report.difference
    if found is None or report.causes:
        return []
    lines = ["None of the known mistakes explains it."]
    if found.kind is Kind.LOSS and found.step == 0:
        lines.append(
            "The forward passes differ before anything is trained: the comparison without training, or in exact "
            "arithmetic (--exact), names the layer."
        )
    return lines


def _row(step: StepComparison) -> tuple[str, ...]:
    cells = [str(step.step), f"{step.learning_rate:.4g}", f"{step.loss_a:.6f}", f"{step.loss_b:.6f}"]
    for kind in Kind:
        found = step.kinds.get(kind)
        cells += ["-", "-"] if found is None else [f"{found.float64:.1e}", f"{found.float32:.1e}"]
    first = next((found.first for found in step.kinds.values() if found.first is not None), None)
    return (*cells, "" if first is None else f"differs: {first}")
