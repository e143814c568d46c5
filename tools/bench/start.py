"""How long the command line takes to answer, and a definition to be computed, and what they may take."""

from __future__ import annotations

import sys
import timeit
from collections.abc import Iterator
from pathlib import Path

from bench import measure
from bench.result import Result
from effnet_core import VARIANTS, resolve

EFFNET = Path(sys.executable).with_name("effnet")

HELP_SECONDS = 0.2
"""For `effnet --help`."""
LIST_SECONDS = 0.3
"""For `effnet list`."""
RESOLVE_MILLISECONDS = 1.0
"""For the definition of any variant."""
_RUNS = 10


def commands() -> Iterator[Result]:
    """Whole processes, beside an interpreter that does nothing."""
    python = [sys.executable, "-c"]
    yield _process("python -c pass", [*python, "pass"])
    yield _process("python -c 'import typer'", [*python, "import typer"])
    yield version()
    yield _process("effnet --help", [EFFNET, "--help"], HELP_SECONDS)
    yield _process("effnet list", [EFFNET, "list"], LIST_SECONDS)
    yield _process("effnet list --checkpoints", [EFFNET, "list", "--checkpoints"])


def version() -> Result:
    """The shortest command."""
    return _process("effnet --version", [EFFNET, "--version"])


def definitions() -> Iterator[Result]:
    """The best of many calls, in this process, for each variant."""
    for name in VARIANTS:
        taken = min(timeit.repeat(lambda name=name: resolve(name), number=1, repeat=200))
        yield Result(variant=name, what="resolve", value=1000 * taken, unit="ms", budget=RESOLVE_MILLISECONDS)


def _process(what: str, command: measure.Command, budget: float | None = None) -> Result:
    return Result(variant="", what=what, value=measure.seconds(command, runs=_RUNS), unit="s", budget=budget)
