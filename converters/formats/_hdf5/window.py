"""A part of a file, read at offsets within limits."""

from __future__ import annotations

import numpy as np

from converters.formats._input import Fillable

_MOST_BYTES = 64 << 20
_MOST_READS = 2_000_000
"""Of all structures of a file. The largest network with its optimiser needs a tenth of both."""
_BLOCK = 8192
"""Bytes that are read at once."""


class Window:
    """`size` bytes of a source from `base`."""

    def __init__(self, source: Fillable, *, size: int, base: int = 0) -> None:
        self.source = source
        self.size = size
        self.base = base
        self._bytes_left = _MOST_BYTES
        self._reads_left = _MOST_READS
        self._block = b""
        self._start = 0

    def bytes_at(self, offset: int, count: int) -> bytes:
        """`count` bytes of a structure from an offset.

        Raises `ValueError` when the window ends before, or when more was read than any network's structures have.
        """
        if offset < 0 or offset + count > self.size:
            raise ValueError(f"{count} bytes are expected at offset {offset}, but the file ends at {self.size}")
        self._bytes_left -= count
        self._reads_left -= 1
        if min(self._bytes_left, self._reads_left) < 0:
            raise ValueError("it has more structures than any network")
        start = offset - self._start
        if start < 0 or start + count > len(self._block):
            # Structures that belong together are near each other.
            buffer = np.empty(min(max(count, _BLOCK), self.size - offset), dtype=np.uint8)
            self.source.fill(buffer, offset=self.base + offset)
            self._block, self._start, start = buffer.tobytes(), offset, 0
        return self._block[start : start + count]
