"""The protocol buffer wire format: varints, and the fields of a message.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from converters.errors import FormatError

_VARINT_BYTES = 10
"""A varint holds 7 bits a byte, and no number here has more than 64 bits."""


MAX_FIELDS = 4096
"""Of one message; the longest here, the entry of a tensor in many slices, has about one for each slice."""


class WireType(IntEnum):
    """How the value of a field is stored."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


def read_varint(data: bytes, position: int, *, end: int, bits: int = 64) -> tuple[int, int]:
    """The unsigned number at `position` and the position behind it.

    Raises `FormatError` when it does not end before `end` or needs more than `bits` bits.
    """
    if position < end and data[position] < 0x80:
        return data[position], position + 1
    value = 0
    for index in range(min(_VARINT_BYTES, end - position)):
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >> bits:
                raise FormatError(f"expected a number of at most {bits} bits at byte {position}, found {value}")
            return value, position + index + 1
    raise FormatError(f"expected a number (varint) at byte {position}, found none that ends before byte {end}")


def varint(value: int) -> bytes:
    """An unsigned number of at most 64 bits, seven bits a byte, lowest first."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields(data: bytes, *, limit: int) -> Iterator[tuple[int, int, int | bytes]]:
    """Number, wire type and value of each field of a message, in the order of the bytes.

    Raises `FormatError` for bytes that are no message and for one of more than `limit` fields.
    """
    position, end, count = 0, len(data), 0
    while position < end:
        count += 1
        if count > limit:
            raise FormatError(f"expected a message of at most {limit} fields, found more")
        tag, position = read_varint(data, position, end=end, bits=32)
        if tag < 8:
            raise FormatError(f"expected a field of a message before byte {position}, found field number 0")
        value, position = _field_value(data, position, tag)
        yield tag >> 3, tag & 7, value


class Message:
    """The fields of a message by number. An absent field reads as 0 or as empty, as in proto3.

    Raises `FormatError` for bytes that are no message, and when a field is asked for that is of another type or, where
    one is expected, there several times. Unknown fields are passed over.
    """

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[tuple[int, int | bytes]]] = {}
        for number, kind, value in fields(data, limit=MAX_FIELDS):
            self._fields.setdefault(number, []).append((kind, value))

    def has(self, field: int) -> bool:
        """Whether the field is there, were it 0."""
        return field in self._fields

    def number(self, field: int) -> int:
        """A signed varint field (int32, int64, enum, bool)."""
        value = self._one(field, WireType.VARINT)
        return value - (1 << 64) if value >> 63 else value

    def fixed32(self, field: int) -> int:
        """An unsigned field of four bytes."""
        return self._one(field, WireType.FIXED32)

    def message(self, field: int) -> Message:
        """A message inside this one."""
        inner = self.messages(field)
        if len(inner) > 1:
            raise FormatError(f"expected field {field} once, found it {len(inner)} times")
        return inner[0] if inner else Message(b"")

    def messages(self, field: int) -> list[Message]:
        """A repeated message inside this one."""
        contents = [content for _, content in self._fields.get(field, ()) if isinstance(content, bytes)]
        if len(contents) != len(self._fields.get(field, ())):
            raise FormatError(f"expected field {field} as a message, found it as a number")
        return [Message(content) for content in contents]

    def _one(self, field: int, wire_type: WireType) -> int:
        values = self._fields.get(field)
        if values is None:
            return 0
        found, value = values[0]
        if len(values) > 1 or found != wire_type or not isinstance(value, int):
            raise FormatError(f"expected field {field} once, as {wire_type.name}; found {len(values)}, type {found}")
        return value


def _field_value(data: bytes, position: int, tag: int) -> tuple[int | bytes, int]:
    kind, end = tag & 7, len(data)
    if kind == WireType.VARINT:
        return read_varint(data, position, end=end)
    if kind == WireType.BYTES:
        length, position = read_varint(data, position, end=end)
    elif kind in (WireType.FIXED32, WireType.FIXED64):
        length = 4 if kind == WireType.FIXED32 else 8
    else:
        raise FormatError(f"expected wire type 0, 1, 2 or 5 in field {tag >> 3}, found {kind}")
    if length > end - position:
        raise FormatError(f"field {tag >> 3} claims {length} bytes, but only {end - position} are left in its message")
    content = data[position : position + length]
    return content if kind == WireType.BYTES else int.from_bytes(content, "little"), position + length


def number_field(number: int, value: int) -> bytes:
    """A varint field; nothing for 0, which readers assume for what is absent."""
    return varint(number << 3 | WireType.VARINT) + varint(value & (1 << 64) - 1) if value else b""


def fixed32_field(number: int, value: int) -> bytes:
    """A field of four bytes; nothing for 0."""
    return varint(number << 3 | WireType.FIXED32) + value.to_bytes(4, "little") if value else b""


def bytes_field(number: int, content: bytes) -> bytes:
    """A message or text inside a message; written even when empty."""
    return varint(number << 3 | WireType.BYTES) + varint(len(content)) + content
