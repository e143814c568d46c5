"""The global heaps of an HDF5 file, where text of any length is kept.

Source: HDF5 File Format Specification 3.0, section III.E, "Global Heap".
"""

from __future__ import annotations

import struct

from converters.formats._hdf5.window import Window

_HEAP = struct.Struct("<4sBxxxQ")
_OBJECT = struct.Struct("<HHxxxxQ")
_REFERENCE = struct.Struct("<IQI")
REFERENCE_BYTES = _REFERENCE.size
_ALIGNMENT = 8
_PIECE = 4096
"""Bytes of a heap that are looked at at once; most heaps have no more."""
_KEPT = 64


class Heaps:
    """The heaps of one file; those that were looked at last are kept."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._objects: dict[int, dict[int, tuple[int, int]]] = {}

    def text(self, reference: bytes) -> bytes:
        """What a reference of 16 bytes stands for: length, heap, number. Raises `ValueError` when it is damaged."""
        length, address, number = _REFERENCE.unpack(reference)
        if length == 0:
            return b""
        offset, size = self._heap(address).get(number, (0, 0))
        if length > size:
            raise ValueError(f"text of {length} bytes is expected in a heap, {size} are there")
        return self._window.bytes_at(offset, length)

    def _heap(self, address: int) -> dict[int, tuple[int, int]]:
        """Offset and bytes of each object of a heap, by its number."""
        if address not in self._objects:
            if len(self._objects) >= _KEPT:
                self._objects.clear()
            self._objects[address] = self._parse(address)
        return self._objects[address]

    def _parse(self, address: int) -> dict[int, tuple[int, int]]:
        signature, _, size = _HEAP.unpack(self._window.bytes_at(address, _HEAP.size))
        if signature != b"GCOL" or address + size > self._window.size:
            raise ValueError(f"expected a heap at {address}")
        found: dict[int, tuple[int, int]] = {}
        position, end = address + _HEAP.size, address + size
        piece, start = b"", position
        while position + _OBJECT.size <= end:
            if position + _OBJECT.size > start + len(piece):
                piece, start = self._window.start_at(position, _PIECE, least=_OBJECT.size), position
            number, _, length = _OBJECT.unpack_from(piece, position - start)
            position += _OBJECT.size
            if number == 0:  # the free space at the end
                break
            if position + length > end or number in found:
                raise ValueError(f"the heap at {address} is damaged")
            found[number] = position, length
            position += length + -length % _ALIGNMENT
        return found
