"""A part of a file, read at offsets within limits."""

from __future__ import annotations

from converters.formats._input import Fillable

_MOST_BYTES, _BYTES_OF_READ = 64 << 20, 32
"""Of all structures of a file, and what a read of one counts beside its own. The largest network with its optimiser
needs a tenth."""
_BLOCK, _OVERLAP = 8192, 512
"""Bytes that are read at once, from a multiple of it: what belongs together lies near each other, but in no order.
Those of the overlap are read with the block before as well, so that few structures lie across an end."""
_MOST_BLOCKS = 1024
"""That are kept; the structures of the largest network lie in as many."""


class Window:
    """`size` bytes of a source from `base`."""

    def __init__(self, source: Fillable, *, size: int, base: int = 0) -> None:
        self.source = source
        self.size = size
        self.base = base
        self._bytes_left = _MOST_BYTES
        self._blocks: dict[int, bytes] = {}

    def bytes_at(self, offset: int, count: int) -> bytes:
        """`count` bytes of a structure from an offset.

        Raises `ValueError` when the window ends before, or when more was read than any network's structures have.
        """
        if offset < 0 or offset + count > self.size:
            raise ValueError(f"{count} bytes are expected at offset {offset}, but the file ends at {self.size}")
        self._bytes_left -= count + _BYTES_OF_READ
        if self._bytes_left < 0:
            raise ValueError("it has more structures than any network")
        start = offset % _BLOCK
        if start + count > _BLOCK + _OVERLAP:
            return self._read(offset, count)
        block = self._blocks.get(offset - start)
        if block is None:
            if len(self._blocks) == _MOST_BLOCKS:
                self._blocks.clear()
            length = min(_BLOCK + _OVERLAP, self.size - (offset - start))
            block = self._blocks[offset - start] = self._read(offset - start, length)
        return block[start : start + count]

    def start_at(self, offset: int, count: int, *, least: int) -> bytes:
        """The first bytes of a structure whose length they tell: `count`, or at `least` so many before the window ends.

        Raises what `bytes_at` raises.
        """
        if offset + count > self.size:
            count = max(self.size - offset, least)
        return self.bytes_at(offset, count)

    def part(self, start: bytes, offset: int, *, behind: int, count: int) -> bytes:
        """`count` bytes of a structure `behind` its offset, from its first bytes where these hold them."""
        end = behind + count
        return start[behind:end] if end <= len(start) else self.bytes_at(offset + behind, count)

    def _read(self, offset: int, count: int) -> bytes:
        return self.source.bytes_at(self.base + offset, count)
