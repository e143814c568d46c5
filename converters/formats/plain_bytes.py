"""The bytes of an array where a file holds them plainly: little-endian, in C order, nothing between."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from converters.formats._input import Fillable

PART = 1 << 20
"""Bytes; what is read, checked, written and read back in parts of this size stays in the caches of a processor."""


class Checksum(Protocol):
    """A checksum that is taken of one part after the other."""

    def add(self, part: NDArray[np.uint8]) -> None:
        """Take the next part into account."""
        ...

    def check(self) -> None:
        """Raise `FormatError` unless it is the one that the file states."""
        ...


class PlainBytes:
    """The bytes of one array, read from the first to the last. Any thread may read them while others read others."""

    def __init__(self, file: Fillable, *, offset: int, checksum: Checksum | None = None) -> None:
        """`offset` is where they begin in the file; `checksum` may have seen what stands before them."""
        self._file = file
        self._position = offset
        self._checksum = checksum

    def fill(self, buffer: NDArray[np.uint8]) -> None:
        """Read the next bytes into the whole buffer. Raises what reading the file raises."""
        for start in range(0, len(buffer), PART):
            part = buffer[start : start + PART]
            self._file.fill(part, offset=self._position)
            self._position += len(part)
            if self._checksum is not None:
                self._checksum.add(part)

    def check(self) -> None:
        """To be called behind the last byte. Raises `FormatError` when the checksum of all does not match."""
        if self._checksum is not None:
            self._checksum.check()
