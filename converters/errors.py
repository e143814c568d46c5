"""What can be wrong with a checkpoint or with what is asked of it."""

from __future__ import annotations

from collections.abc import Iterable

from effnet_core import EffnetError


class UnreadableFile(EffnetError):
    """An input cannot be read at all: it does not exist, is no regular file, or the system refuses."""


class FormatError(EffnetError):
    """A file is not what its format demands: damaged, truncated, hostile, or of another format."""


class UnsupportedFile(EffnetError):
    """A file is sound, but holds something that this project does not read."""


class UnknownArchitecture(EffnetError):
    """No network fits the tensors."""


class OutputError(EffnetError):
    """An output cannot be written: it exists, its folder does not, or the disk refused."""


def counted(count: int, noun: str) -> str:
    """A number with its noun, for a message: 1 tensor, 2 tensors."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def some_of(names: Iterable[str], *, count: int = 5) -> str:
    """The first names, for a message, and how many more there are."""
    found = list(names)
    more = f" and {len(found) - count} more" if len(found) > count else ""
    return ", ".join(found[:count]) + more if found else "none"
