"""What `effnet predict` and `effnet evaluate` have in common: the options for many images, and what is said of them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from effnet.choices import Backend, Engine
from effnet.cli.output import say, say_json, say_table
from effnet.plain import plain

if TYPE_CHECKING:
    from effnet.batch.report import BatchReport
    from effnet.batch.rows import Row

DIFFERENT = 1
BROKEN = 3
"""Images for which there is no answer, listed with the reason; all others have one."""
_INTERRUPTED = 130

Output = Annotated[
    Path | None,
    typer.Option("--output", "--out", metavar="FILE", help="Write a row for each image there: .csv or .parquet."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from what an interrupted run with the same output has done.")
]
Batch = Annotated[int, typer.Option(min=1, metavar="N", help="Images that go through the network together.")]
Threads = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Threads that decode images; by default one a processor, at most 8."),
]
Limit = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="So many of the images, evenly spread over all of them.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first image that cannot be classified.")]
Parity = Annotated[
    Backend | None,
    typer.Option(help="Run this framework too, on the same batches, and say how far the two are apart."),
]
EngineOption = Annotated[
    Engine, typer.Option(help="local: this process; ray: workers of Ray Data, here or on a cluster.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Workers of Ray, 2 unless given; each loads the network.")
]
RayAddress = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A Ray cluster, as ray.init takes it; else here.")
]


def run_many(run: Callable[[Callable[[int, int], None] | None], "BatchReport"], *, title: str, visible: bool) -> Any:
    """The report, with a progress bar meanwhile; an interruption says how to go on."""
    from effnet.cli.progress import image_progress

    try:
        with image_progress(title, visible=visible) as progress:
            return run(progress)
    except KeyboardInterrupt:
        typer.echo("effnet: interrupted. With an output (--out), --resume goes on from what is done.", err=True)
        raise typer.Exit(_INTERRUPTED) from None


def row_printer(*, as_json: bool) -> "Callable[[Row], None]":
    """Prints every row to standard output: as CSV under the names of the columns, or as one JSON object a line."""
    import json

    from effnet.batch.tables import csv_line

    first = True

    def print_row(row: "Row") -> None:
        nonlocal first
        if as_json:
            say(json.dumps(row))
            return
        if first:
            say(csv_line(list(row)).removesuffix("\n"))
            first = False
        say(csv_line(list(row.values())).removesuffix("\n"))

    return print_row


def document(report: "BatchReport") -> dict[str, object]:
    """The report for programs."""
    return {
        "checkpoint": report.network.name,
        "network": report.network.spec.name,
        "backend": report.backend,
        "images": report.images,
        "broken": report.broken,
        "broken_examples": report.examples,
        "top1": report.top1,
        "top5": report.top5,
        "parity": None if report.parity is None else {**plain(report.parity), "agrees": report.parity.agrees},
        "notes": report.notes,
        "output": report.output,
        "taken_over": report.taken_over,
        "was_finished": report.was_finished,
        "seconds": report.seconds,
        "images_per_second": report.rate,
    }


def show(report: "BatchReport", *, as_json: bool, to_stderr: bool = False) -> None:
    """Print the report, to standard error where rows went to the other one, and end with the exit code it asks for."""
    if as_json:
        say_json(document(report))
    else:
        for line in _lines(report):
            if to_stderr:
                typer.echo(line, err=True)
            else:
                say(line)
        if report.top1 is not None:
            say_table(*_accuracy(report))
    if report.parity is not None and not report.parity.agrees:
        raise typer.Exit(DIFFERENT)
    if report.broken:
        raise typer.Exit(BROKEN)


def _lines(report: "BatchReport") -> list[str]:
    before = f", {report.taken_over:,} of them before" if report.taken_over else ""
    lines = [
        *report.notes,
        f"{report.output} holds all {report.images:,} images already: nothing is left to do."
        if report.was_finished
        else f"{report.images:,} images{before}, in {report.seconds:.1f} s: {report.rate:.1f} images a second.",
    ]
    if report.broken:
        lines.append(f"{report.broken:,} of them have no answer:")
        lines += [f"  {one.error}" for one in report.examples]
        if report.broken > len(report.examples):
            lines.append(f"  and {report.broken - len(report.examples):,} more")
    if report.output is not None and not report.was_finished:
        lines.append(f"Wrote {report.output}")
    return [*lines, *_parity_lines(report)]


def _parity_lines(report: "BatchReport") -> list[str]:
    found = report.parity
    if found is None:
        return []
    where = "" if found.largest_path is None else f" ({found.largest_path})"
    lines = [
        f"{found.a} and {found.b} on {found.images:,} images: logits at most {found.largest:.2g} of the largest "
        f"apart{where}, {found.mean:.2g} on average; another top-1 on {found.other_top1:,}."
    ]
    if found.agrees:
        return [*lines, "Rounding explains every difference."]
    if not found.images:
        return [*lines, "There is nothing to compare."]
    if found.beyond:
        lines.append(f"Different: rounding does not explain {found.beyond:,}, such as {', '.join(found.examples)}.")
    if not found.same_function:
        lines.append("Different: on random input, rounding does not explain how far the two are apart.")
    return lines


def _accuracy(report: "BatchReport") -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    shares = [("top-1", report.top1), ("top-5", report.top5)]
    rows = [
        (name, f"{100 * one.share:.3f}", f"{one.count}", f"{one.of}", f"{100 * one.low:.3f}", f"{100 * one.high:.3f}")
        for name, one in shares
        if one is not None
    ]
    return ("", "%", "right", "of", "95 % from", "to"), rows
