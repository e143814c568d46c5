"""Input files: what is none is refused before it is opened, because a pipe that nobody writes to is waited for.

And no output takes the place of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from converters import OutputError


def check_regular(path: Path) -> None:
    """Raise `OSError`, as opening it would, when there is no regular file: none at all, a folder, a pipe, a device."""
    mode = path.stat().st_mode
    if not S_ISREG(mode):
        raise OSError("it is a folder" if S_ISDIR(mode) else "it is a pipe, a device or a socket, not a file")


def reason_of(error: Exception) -> str:
    """Why reading failed, in the system's words where it was the system that refused, and without its numbers."""
    return getattr(error, "strerror", None) or str(error)


def check_no_input(target: Path, inputs: Iterable[str | Path]) -> None:
    """Raise `OutputError` when `target` is one of the files that are read, by whatever name or link."""
    if not target.exists():
        return
    for one in inputs:
        if Path(one).exists() and target.samefile(one):
            raise OutputError(f"{target} is an input of the same command. Name another output.")
