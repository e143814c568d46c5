"""The messages of an HDF5 object header.

Source: HDF5 File Format Specification 3.0, section IV.A.1, "Data Object Header Prefix".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

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
_NOWHERE = (1 << 64) - 1


class Message(NamedTuple):
    """One message: its type, a `MessageType` or another number, and its content. A file has tens of thousands."""

    type: int
    is_shared: bool
    """Whether the content is but a reference to another object's."""
    content: bytes


Header = Sequence[Message]


def messages(window: Window, address: int) -> Iterator[Message]:
    """Every message of the object at an address. Raises `ValueError` when the header is damaged."""
    start = window.bytes_at(address, min(_FIRST.size, max(window.size - address, len(_SECOND))))
    if start.startswith(_SECOND):
        offset, length, head = _second(window, address)
        mark, tail = len(_SECOND_BLOCK), _CHECKSUM
    else:
        version, _, _, length = _FIRST.unpack(start)
        if version != 1:
            raise ValueError(f"expected an object header at {address}, found version {version}")
        offset, head, mark, tail = address + _FIRST.size, _FIRST_MESSAGE.size, 0, 0
    waiting, seen = [(offset, length)], {offset}
    while waiting:
        block = window.bytes_at(*waiting.pop(0))
        for message in _split(block, head):
            if message.type == MessageType.CONTINUATION:
                offset, length = _PLACE.unpack_from(message.content)
                if offset in seen or len(seen) >= _MOST_BLOCKS or length < mark + tail:
                    raise ValueError(f"the object header at {address} has no end")
                seen.add(offset)
                waiting.append((offset + mark, length - mark - tail))
            else:
                yield message


def _second(window: Window, address: int) -> tuple[int, int, int]:
    """Offset and bytes of the first block of a header of version 2, and the bytes before the content of a message."""
    flags = window.bytes_at(address + 5, 1)[0]
    width = 1 << (flags & _WIDTH)
    start = address + 6 + (16 if flags & _HAS_TIMES else 0) + (4 if flags & _HAS_PHASES else 0)
    length = int.from_bytes(window.bytes_at(start, width), "little")
    return start + width, length, _SECOND_MESSAGE.size + (2 if flags & _HAS_ORDER else 0)


def _split(block: bytes, head: int) -> Iterator[Message]:
    layout = _FIRST_MESSAGE if head == _FIRST_MESSAGE.size else _SECOND_MESSAGE
    position = 0
    while position + head <= len(block):
        kind, length, flags = layout.unpack_from(block, position)
        position += head
        if position + length > len(block):
            raise ValueError("a message of an object header is longer than its block")
        yield Message(type=kind, is_shared=bool(flags & _SHARED), content=block[position : position + length])
        position += length


def dense_heap(content: bytes, *, order_width: int) -> int | None:
    """Where a link info or attribute info message keeps many of them, None where it does not.

    A creation order of `order_width` bytes stands before the address if the message says so.
    """
    start = 2 + (order_width if content[1] & 1 else 0)
    address = int.from_bytes(content[start : start + 8], "little")
    return None if address == _NOWHERE else address
