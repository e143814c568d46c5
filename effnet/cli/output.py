"""What commands print: JSON for programs, tables for people."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from effnet.plain import plain

BROKEN_PIPE = 141
"""128 + SIGPIPE: what a shell reports for a program that a closed pipe ended."""
_WIDTH = 160
"""Columns of the screen for a table that goes to a file or a pipe."""
_GAP = "   "
_RULE = "\N{BOX DRAWINGS LIGHT HORIZONTAL}"


def say(text: str) -> None:
    """Print a line to standard output; end quietly when nobody reads it any more."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit; there it shall not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(BROKEN_PIPE) from None


def say_json(document: Any) -> None:
    """Print a value as indented JSON; NaN and infinities become null."""
    say(json.dumps(plain(document), indent=2, allow_nan=False))


def say_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: the first column to the left, columns that hold only numbers to the right."""
    cells = [[_printable(cell) for cell in row] for row in rows]
    numeric = [bool(cells) and all(_is_number(row[index]) for row in cells) for index in range(len(columns))]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    available = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH
    fits = sum(widths) + len(_GAP) * len(widths) <= available
    say(_aligned(columns, cells, numeric, widths) if fits else _folded(columns, cells, numeric, available))


def _aligned(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool], widths: Sequence[int]
) -> str:
    """The table that `_folded` gives where nothing needs folding, without the time that loading rich takes."""
    lines = [
        _GAP.join(cell.rjust(width) if right else cell.ljust(width) for cell, right, width in aligned)
        for aligned in (zip(row, numeric, widths, strict=True) for row in (columns, *rows))
    ]
    lines.insert(1, _RULE * len(lines[0]))
    return "\n".join(["", *(f" {line}".rstrip() for line in lines), ""])


def _folded(columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool], available: int) -> str:
    """The table in `available` columns of the screen, long cells broken into lines."""
    from io import StringIO

    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, right in zip(columns, numeric, strict=True):
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    buffer = StringIO()
    Console(file=buffer, width=available, markup=False, emoji=False, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in buffer.getvalue().strip("\n").splitlines())


def megabytes(nbytes: int) -> str:
    """Bytes for people, in powers of 1000."""
    return f"{nbytes / 1e6:.1f} MB" if nbytes >= 100_000 else f"{nbytes / 1e3:.1f} kB"


def _is_number(text: str) -> bool:
    return text == "" or text[0].isdigit() or (text[0] == "-" and text[1:2].isdigit()) or text in ("-", "nan", "inf")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
