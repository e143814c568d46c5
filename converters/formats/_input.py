"""An input file, opened for reading at offsets."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from converters.errors import FormatError, UnreadableFile
from converters.formats.base import read_exactly


class Fillable(Protocol):
    """An open file that is read at offsets."""

    def fill(self, buffer: NDArray[Any], *, offset: int) -> None:
        """Read bytes from an offset into the whole buffer."""
        ...

    def bytes_at(self, offset: int, count: int) -> bytes:
        """`count` bytes from an offset."""
        ...


class InputFile:
    """A regular file and its size in bytes.

    Raises `UnreadableFile` when the file does not exist, is no regular file, or may not be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # O_NONBLOCK: opening a named pipe would otherwise wait for its writer. It means nothing for regular files.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise UnreadableFile(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
        status = os.fstat(self._descriptor)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise UnreadableFile(f"{path} is {kind}; expected one file that holds a checkpoint.")

    def bytes_at(self, offset: int, count: int) -> bytes:
        """`count` bytes from an offset. Raises `FormatError` when the file ends before."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise FormatError(
                f"{self.path}: expected {count} bytes at offset {offset}, but the file ends at {self.size}: it is "
                "truncated or damaged. Fetch or copy it again."
            )
        with suppress(OSError):
            found = os.pread(self._descriptor, count, offset)
            if len(found) == count:
                return found
        # Refused or cut short: once more, with the error that says so.
        buffer = np.empty(count, dtype=np.uint8)
        self.fill(buffer, offset=offset)
        return buffer.tobytes()

    def fill(self, buffer: NDArray[Any], *, offset: int) -> None:
        """Read bytes from an offset into the whole buffer. Raises `FormatError` when the file ends before."""
        read_exactly(self._descriptor, buffer, offset=offset, where=str(self.path))

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
