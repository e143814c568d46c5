"""A part of a file, read at offsets within limits."""

from __future__ import annotations

import numpy as np

from converters.formats._input import Fillable

_MOST_BYTES = 64 << 20
_MOST_READS = 2_000_000
"""Of all structures of a file. The largest network with its optimiser needs a tenth of both."""
_BLOCK = 8192
"""Bytes that are read at once, from a multiple of it: what belongs together lies near each other, but in no order."""
_MOST_BLOCKS = 1024
"""That are kept; the structures of the largest network lie in as many."""


class Window:
    """`size` bytes of a source from `base`."""

    def __init__(self, source: Fillable, *, size: int, base: int = 0) -> None:
        self.source = source
        self.size = size
        self.base = base
        self._bytes_left = _MOST_BYTES
        self._reads_left = _MOST_READS
        self._blocks: dict[int, bytes] = {}

    def bytes_at(self, offset: int, count: int) -> bytes:
        """`count` bytes of a structure from an offset.

        Raises `ValueError` when the window ends before, or when more was read than any network's structures have.
        """
        if offset < 0 or offset + count > self.size:
            raise ValueError(f"{count} bytes are expected at offset {offset}, but the file ends at {self.size}")
        self._bytes_left -= count
        self._reads_left -= 1
        if self._bytes_left < 0 or self._reads_left < 0:
            raise ValueError("it has more structures than any network")
        index, start = divmod(offset, _BLOCK)
        if start + count > _BLOCK:
            return self._read(offset, count)
        block = self._blocks.get(index)
        if block is None:
            if len(self._blocks) == _MOST_BLOCKS:
                self._blocks.clear()
            block = self._blocks[index] = self._read(offset - start, min(_BLOCK, self.size - (offset - start)))
        return block[start : start + count]

    def _read(self, offset: int, count: int) -> bytes:
        buffer = np.empty(count, dtype=np.uint8)
        self.source.fill(buffer, offset=self.base + offset)
        return buffer.tobytes()
