"""How the numbers of `tools/bench_inference.py` are shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from bench.inference_rounds import Timing

BEGIN, END = "<!-- begin: tools/bench_inference.py -->", "<!-- end: tools/bench_inference.py -->"
_HEADS = ("ms", "quartiles", "images/s", "x floor", "logits differ by")


def row(timing: Timing) -> dict[str, object]:
    """One object of JSON."""
    first, third = timing.quartiles
    return asdict(timing.contender) | {
        "batch": timing.batch,
        "median_ms": 1e3 * timing.median,
        "first_quartile_ms": 1e3 * first,
        "third_quartile_ms": 1e3 * third,
        "images_per_second": timing.batch / timing.median,
        "floor_ms": 1e3 * timing.floor,
        "times_the_floor": timing.median / timing.floor,
        "distance": None if timing.contender.has_other_weights else timing.distance,
        "seconds": timing.seconds,
    }


def table(found: Sequence[Timing], *, title: str) -> Table:
    """Peers are indented below ours."""
    floor = f" (floor {1e3 * found[0].floor:.1f} ms)" if found else ""
    drawn = Table("runtime", "contender", title=title + floor)
    for head in _HEADS:
        drawn.add_column(head, justify="right")
    runtime = ""
    for timing in found:
        if timing.contender.runtime != runtime:
            drawn.add_section()
        name = timing.contender.name
        drawn.add_row(
            timing.contender.runtime if timing.contender.runtime != runtime else "",
            f"  {name}" if timing.contender.is_peer else name,
            *_numbers(timing),
        )
        runtime = timing.contender.runtime
    return drawn


def _numbers(timing: Timing) -> tuple[str, ...]:
    """As `_HEADS` says."""
    first, third = (1e3 * seconds for seconds in timing.quartiles)
    return (
        f"{1e3 * timing.median:.1f}",
        f"{first:.1f}-{third:.1f}",
        f"{timing.batch / timing.median:.1f}",
        f"{timing.median / timing.floor:.2f}",
        "other weights" if timing.contender.has_other_weights else f"{timing.distance:.0e}",
    )


def write(document: Path, found: Sequence[Timing], *, title: str) -> None:
    """Put the tables between the marks of a document that has them. Raises `ValueError` where it has not."""
    text = document.read_text("utf-8")
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"{document} has no lines {BEGIN} and {END}")
    lines = "\n".join(_markdown(found, title=title))
    document.write_text(f"{before}{BEGIN}\n{lines}\n{END}{after}", "utf-8")


def _markdown(found: Sequence[Timing], *, title: str) -> Iterator[str]:
    for batch in dict.fromkeys(timing.batch for timing in found):
        rows = [timing for timing in found if timing.batch == batch]
        yield f"\n{title}, batch {batch}; the floor is {1e3 * rows[0].floor:.1f} ms\n"
        yield f"| runtime | contender | {' | '.join(_HEADS)} |"
        yield f"|---|---|{'---|' * len(_HEADS)}"
        for timing in rows:
            name = f"*{timing.contender.name}*" if timing.contender.is_peer else timing.contender.name
            yield f"| {timing.contender.runtime} | {name} | {' | '.join(_numbers(timing))} |"
    yield ""
