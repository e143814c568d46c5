"""Room on the disk for what must be unpacked before it can be read at offsets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.formats.base import read_exactly
from converters.formats.staging import disk_errors


class TemporaryData:
    """A temporary file without a name. Raises `OutputError` when its folder does not take it."""

    def __init__(self, folder: Path | None) -> None:
        import tempfile  # noqa: PLC0415 - slow to import, and seldom needed

        self._folder = folder or Path(tempfile.gettempdir())
        with disk_errors(self._folder):
            self._file = tempfile.TemporaryFile(buffering=0, dir=self._folder)  # noqa: SIM115 - open until `close`
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self._size

    def append(self, chunks: Iterable[bytes]) -> int:
        """Add bytes; gives where they begin."""
        start = self._size
        for chunk in chunks:
            with disk_errors(self._folder):
                done = 0
                while done < len(chunk):
                    done += self._file.write(memoryview(chunk)[done:])
            self._size += len(chunk)
        return start

    def fill(self, buffer: NDArray[Any], *, offset: int) -> None:
        """Read bytes from an offset into the whole buffer."""
        read_exactly(self._file.fileno(), buffer, offset=offset, where=f"temporary file in {self._folder}")

    def bytes_at(self, offset: int, count: int) -> bytes:
        """`count` bytes from an offset."""
        buffer = np.empty(count, dtype=np.uint8)
        self.fill(buffer, offset=offset)
        return buffer.tobytes()

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
