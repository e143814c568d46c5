"""The messages of an HDF5 object header.

Source: HDF5 File Format Specification 3.0, section IV.A.1, "Data Object Header Prefix".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum

from converters.formats._hdf5.window import Window


class MessageType(IntEnum):
    """The messages that matter here, as the specification numbers them."""

    DATASPACE = 0x01
    LINK_INFO = 0x02
    DATATYPE = 0x03
    LINK = 0x06
    EXTERNAL = 0x07
    LAYOUT = 0x08
    ATTRIBUTE = 0x0C
    CONTINUATION = 0x10
    SYMBOL_TABLE = 0x11
    ATTRIBUTE_INFO = 0x15


_WANTED = frozenset(MessageType)
_MOST_BLOCKS = 4096
"""Of one header; a block has room for an attribute."""
_PLACE = struct.Struct("<QQ")
# Version 1: version, message count, references, bytes of the first block, padding; messages of 8 bytes and more.
_FIRST = struct.Struct("<BxHIIxxxx")
_FIRST_MESSAGE = struct.Struct("<HHBxxx")
# Version 2: signature, version, flags; messages of 4 bytes and more; a checksum behind each block.
_SECOND, _SECOND_BLOCK = b"OHDR", b"OCHK"
_SECOND_MESSAGE = struct.Struct("<BHB")
_CHECKSUM = 4
_HAS_TIMES, _HAS_PHASES, _HAS_ORDER, _WIDTH = 0x20, 0x10, 0x04, 0x03
_SHARED = 0x02
_USUAL = 280
"""Bytes of the header of most objects, or more."""
_NOWHERE = (1 << 64) - 1


Header = Mapping[int, Sequence[bytes | None]]
"""A `MessageType` to the contents of the messages of that type, in their order; None for a content that is but a
reference to another object's. A file has tens of thousands."""


def read_header(window: Window, address: int) -> Header:
    """Every message that matters of the object at an address. Raises `ValueError` when the header is damaged."""
    start = window.start_at(address, _USUAL, least=len(_SECOND))
    if start.startswith(_SECOND):
        before, length, head = _second(start)
        mark, tail = len(_SECOND_BLOCK), _CHECKSUM
    else:
        version, _, _, length = _FIRST.unpack_from(start)
        if version != 1:
            raise ValueError(f"expected an object header at {address}, found version {version}")
        before, head, mark, tail = _FIRST.size, _FIRST_MESSAGE.size, 0, 0
    header: dict[int, list[bytes | None]] = {}
    _collect(window.part(start, address, behind=before, count=length), head, header)
    waiting, seen = header.pop(MessageType.CONTINUATION, []), {address + before}
    while waiting:
        offset, length = _PLACE.unpack_from(waiting.pop(0) or b"")
        if offset in seen or len(seen) >= _MOST_BLOCKS or length < mark + tail:
            raise ValueError(f"the object header at {address} has no end")
        seen.add(offset)
        _collect(window.bytes_at(offset + mark, length - mark - tail), head, header)
        waiting += header.pop(MessageType.CONTINUATION, [])
    return header


def last(header: Header, kind: MessageType) -> bytes | None:
    """The content of the last message of a type, None where there is none or it is another object's."""
    found = header.get(kind)
    return found[-1] if found else None


def _second(start: bytes) -> tuple[int, int, int]:
    """Bytes before and in the first block of a header of version 2, and the bytes before the content of a message."""
    flags = start[5]
    width = 1 << (flags & _WIDTH)
    before = 6 + (16 if flags & _HAS_TIMES else 0) + (4 if flags & _HAS_PHASES else 0)
    length = int.from_bytes(start[before : before + width], "little")
    return before + width, length, _SECOND_MESSAGE.size + (2 if flags & _HAS_ORDER else 0)


def _collect(block: bytes, head: int, header: dict[int, list[bytes | None]]) -> None:
    """Put the messages of a block with those that were found before."""
    layout = _FIRST_MESSAGE if head == _FIRST_MESSAGE.size else _SECOND_MESSAGE
    position, size = head, len(block)
    while position <= size:
        kind, length, flags = layout.unpack_from(block, position - head)
        end = position + length
        if end > size:
            raise ValueError("a message of an object header is longer than its block")
        if kind in _WANTED:
            content = None if flags & _SHARED else block[position:end]
            if kind in header:
                header[kind].append(content)
            else:
                header[kind] = [content]
        position = end + head


def dense_heap(content: bytes, *, order_width: int) -> int | None:
    """Where a link info or attribute info message keeps many of them, None where it does not.

    A creation order of `order_width` bytes stands before the address if the message says so.
    """
    start = 2 + (order_width if content[1] & 1 else 0)
    address = int.from_bytes(content[start : start + 8], "little")
    return None if address == _NOWHERE else address
