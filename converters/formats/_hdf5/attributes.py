"""The attributes that Keras writes: lists of names, perhaps in several pieces, and text.

Source: HDF5 File Format Specification 3.0, section IV.A.2, "The Attribute Message".
"""

from __future__ import annotations

import struct
from itertools import takewhile
from math import prod
from typing import NamedTuple

from converters.formats._hdf5.datatype import TypeClass, shape_of, type_class, width
from converters.formats._hdf5.errors import UNSOUND, damaged, unusual
from converters.formats._hdf5.header import Header, MessageType, dense_heap
from converters.formats._hdf5.heap import REFERENCE_BYTES, Heaps
from converters.formats._hdf5.window import Window

_MOST_PIECES = 1000
_PARTS = struct.Struct("<BBHHH")
_IS_TEXT = 1
_PADDED_BY_SPACES = 2


class _Attribute(NamedTuple):
    """An attribute in parts, as the file has them. A file has thousands."""

    datatype: bytes
    shape: tuple[int, ...] | None
    data: bytes


class Attributes:
    """The attributes of the objects of one file."""

    def __init__(self, window: Window, *, where: str) -> None:
        self._heaps = Heaps(window)
        self._where = where

    def names(self, header: Header, name: str) -> list[str] | None:
        """The list of that name, joined if Keras wrote it in pieces (`name0`, `name1`, ...); None where there is none.

        Raises `FormatError` when it is no list of text.
        """
        found = self._all(header)
        if name in found:
            pieces = [name]
        else:
            pieces = list(takewhile(found.__contains__, (f"{name}{number}" for number in range(_MOST_PIECES))))
        if not pieces:
            return None
        names: list[str] = []
        for piece in pieces:
            values = self._values(found[piece], piece)
            if values is None:
                raise damaged(self._where, f"the attribute {piece!r} is no list of names")
            names += values
        return names

    def text(self, header: Header, name: str) -> str | None:
        """The attribute of that name, None where there is none or it is not one text."""
        return self.texts(header).get(name)

    def texts(self, header: Header) -> dict[str, str]:
        """Every attribute that is one text. Raises `FormatError` when one is damaged."""
        found: dict[str, str] = {}
        for name, attribute in self._all(header).items():
            values = self._values(attribute, name) if attribute.shape == () else None
            if values is not None:
                found[name] = values[0]
        return found

    def _all(self, header: Header) -> dict[str, _Attribute]:
        found: dict[str, _Attribute] = {}
        try:
            for content in header.get(MessageType.ATTRIBUTE_INFO, ()):
                if dense_heap(content or b"", order_width=2):
                    raise unusual(self._where, "has attributes in HDF5's dense storage")
            for content in header.get(MessageType.ATTRIBUTE, ()):
                if content is not None:
                    name, attribute = _split(content)
                    found[name] = attribute
        except UNSOUND as error:
            raise damaged(self._where, error) from error
        return found

    def _values(self, attribute: _Attribute, name: str) -> list[str] | None:
        """The texts of an attribute, None where it holds something else; an empty one may be of any type."""
        count = 0 if attribute.shape is None else prod(attribute.shape)
        try:
            return [] if count == 0 else self._texts(attribute, count)
        except UNSOUND as error:
            raise damaged(f"{self._where}: the attribute {name!r}", error) from error

    def _texts(self, attribute: _Attribute, count: int) -> list[str] | None:
        kind, flags = type_class(attribute.datatype), attribute.datatype[1] & 0x0F
        if kind is TypeClass.VARIABLE and flags == _IS_TEXT:
            size = REFERENCE_BYTES
        elif kind is TypeClass.STRING:
            size = width(attribute.datatype)
        else:
            return None
        if size == 0 or count * size > len(attribute.data):
            raise ValueError(f"{count} texts of {size} bytes are expected, {len(attribute.data)} bytes are there")
        parts = [attribute.data[start : start + size] for start in range(0, count * size, size)]
        if kind is TypeClass.VARIABLE:
            return [self._heaps.text(part).decode() for part in parts]
        padding = b"\0 " if flags == _PADDED_BY_SPACES else b"\0"
        return [part.rstrip(padding).decode() for part in parts]


def _split(content: bytes) -> tuple[str, _Attribute]:
    """Name and parts of an attribute message of version 1 (its parts padded to 8 bytes), 2 or 3 (an encoding more)."""
    version, flags, *lengths = _PARTS.unpack_from(content)
    if version not in (1, 2, 3):
        raise ValueError(f"an attribute of version {version}")
    if version > 1 and flags:
        raise ValueError("an attribute whose type is kept elsewhere")
    position = _PARTS.size + (version == 3)
    parts: list[bytes] = []
    for length in lengths:
        parts.append(content[position : position + length])
        position += length + (-length % 8 if version == 1 else 0)
    if position > len(content) or len(parts[1]) < 8:
        raise ValueError("an attribute is longer than its message")
    name = parts[0].partition(b"\0")[0].decode()
    return name, _Attribute(datatype=parts[1], shape=shape_of(parts[2]), data=content[position:])
