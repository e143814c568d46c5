"""The members of an HDF5 group. Source: HDF5 File Format Specification 3.0, sections III.A, III.C, III.D, IV.A.2."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from converters.errors import UnsupportedFile
from converters.formats._hdf5.errors import unusual
from converters.formats._hdf5.header import Header, MessageType, dense_heap
from converters.formats._hdf5.window import Window

_NODE = struct.Struct("<4sBBH16x")
_KEY_AND_CHILD = struct.Struct("<8xQ")
_TABLE = struct.Struct("<4sBxH")
_ENTRY = struct.Struct("<QQI20x")
_HEAP = struct.Struct("<4sB3xQQQ")
_PLACES = struct.Struct("<QQ")
_SYMBOLIC = 2
_MOST_LEVELS = 8
_LONGEST_NAME = 1024
# Bytes of what most groups have, or more: one child of the tree, and one table of eight members.
_USUAL_NODE = _NODE.size + _KEY_AND_CHILD.size
_USUAL_TABLE = _TABLE.size + 8 * _ENTRY.size
_LINK_TYPE, _LINK_ORDER, _LINK_ENCODING, _LINK_WIDTH = 0x08, 0x04, 0x10, 0x03


def members(window: Window, header: Header, *, where: str) -> Iterator[tuple[str, int]]:
    """Name and address of each member of the group with this header.

    Raises `ValueError` when it is damaged, `UnsupportedFile` for links that lead elsewhere.
    """
    for content in header.get(MessageType.LINK_INFO, ()):
        if dense_heap(content or b"", order_width=8) is not None:
            raise unusual(where, "has groups in HDF5's dense storage")
    for content in header.get(MessageType.SYMBOL_TABLE, ()):
        tree, heap = _PLACES.unpack_from(content or b"")
        yield from _old_members(window, tree, _names(window, heap), where)
    for content in header.get(MessageType.LINK, ()):
        yield _link(content or b"", where)


def _names(window: Window, address: int) -> bytes:
    """The data of the local heap that holds the names. Its list of free space is not looked at."""
    signature, _, size, _, start = _HEAP.unpack(window.bytes_at(address, _HEAP.size))
    if signature != b"HEAP":
        raise ValueError(f"expected a heap of names at {address}")
    return window.bytes_at(start, size)


def _old_members(window: Window, address: int, names: bytes, where: str) -> Iterator[tuple[str, int]]:
    for table in _tables(window, address, level=None):
        start = window.start_at(table, _USUAL_TABLE, least=_TABLE.size)
        signature, _, count = _TABLE.unpack_from(start)
        if signature != b"SNOD":
            raise ValueError(f"expected members of a group at {table}")
        entries = window.part(start, table, behind=_TABLE.size, count=count * _ENTRY.size)
        for start, header, kind in _ENTRY.iter_unpack(entries):
            end = names.find(b"\0", start, start + _LONGEST_NAME)
            if end < 0:
                raise ValueError("a name has no end")
            name = _checked(names[start:end])
            if kind == _SYMBOLIC:
                raise _elsewhere(where, name)
            yield name, header


def _tables(window: Window, address: int, *, level: int | None) -> Iterator[int]:
    """Addresses of the tables below a node of the tree, whose level falls by one each step."""
    start = window.start_at(address, _USUAL_NODE, least=_NODE.size)
    signature, kind, found, count = _NODE.unpack_from(start)
    if signature != b"TREE" or kind != 0 or found > _MOST_LEVELS or level not in (None, found):
        raise ValueError(f"expected a list of members at {address}")
    children = window.part(start, address, behind=_NODE.size, count=count * _KEY_AND_CHILD.size)
    for (child,) in _KEY_AND_CHILD.iter_unpack(children):
        if found == 0:
            yield child
        else:
            yield from _tables(window, child, level=found - 1)


def _link(content: bytes, where: str) -> tuple[str, int]:
    """Name and address in a link message."""
    version, flags = content[:2]
    if version != 1:
        raise ValueError(f"a link of version {version}")
    position = 2
    kind = content[position] if flags & _LINK_TYPE else 0
    position += sum(width for flag, width in ((_LINK_TYPE, 1), (_LINK_ORDER, 8), (_LINK_ENCODING, 1)) if flags & flag)
    width = 1 << (flags & _LINK_WIDTH)
    length = int.from_bytes(content[position : position + width], "little")
    position += width
    name = _checked(content[position : position + length])
    if kind != 0:
        raise _elsewhere(where, name)
    (address,) = struct.unpack_from("<Q", content, position + length)
    return name, address


def _checked(name: bytes) -> str:
    if not name or name == b"." or b"/" in name or len(name) > _LONGEST_NAME:
        raise ValueError(f"{name[:40]!r} is no name")
    return name.decode()


def _elsewhere(where: str, name: str) -> UnsupportedFile:
    return UnsupportedFile(
        f"{where}: {name!r} is a link to another place or file, which is not followed. Save the weights themselves."
    )
