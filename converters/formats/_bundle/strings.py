"""Tensors of text: lengths, the checksum of the lengths, then all bytes one after another.

Source: WriteStringTensor and GetStringTensor in tensorflow/core/util/tensor_bundle/tensor_bundle.cc.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from converters.errors import FormatError
from converters.formats._bundle.checksum import crc32c
from converters.formats._bundle.table import masked
from converters.formats._bundle.wire import read_varint, varint

MAX_STRING_BYTES = 64 << 20
MAX_STRINGS = 1 << 20
_CHECKSUM_BYTES = 4


def write_strings(strings: Sequence[bytes]) -> tuple[bytes, int]:
    """The bytes of a tensor of strings, each shorter than 4 GiB, and their masked checksum."""
    lengths = b"".join(struct.pack("<I", len(string)) for string in strings)
    checksum = struct.pack("<I", masked(crc32c(lengths)))
    rest = checksum + b"".join(strings)
    data = b"".join(varint(len(string)) for string in strings) + rest
    return data, masked(crc32c(rest, crc32c(lengths)))


def parse_strings(data: bytes, *, count: int, masked_crc32c: int) -> list[bytes]:
    """The `count` strings of a tensor. Raises `FormatError` when lengths or checksums do not match."""
    lengths: list[int] = []
    position = 0
    for _ in range(count):
        length, position = read_varint(data, position, end=len(data))
        lengths.append(length)
    start = position + _CHECKSUM_BYTES
    if start + sum(lengths) != len(data):
        raise FormatError(f"expected {start + sum(lengths)} bytes for {count} strings, found {len(data)}")
    # The checksum is not of the varints: it takes each length as a number of 4 bytes, or 8 where it needs them.
    checksum = crc32c(b"".join(struct.pack("<I" if length < 1 << 32 else "<Q", length) for length in lengths))
    if masked(checksum) != int.from_bytes(data[position:start], "little"):
        raise FormatError("the lengths of the strings do not match their checksum: the data file is damaged")
    if masked(crc32c(data[position:], checksum)) != masked_crc32c:
        raise FormatError("the strings do not match their checksum: the data file is damaged")
    strings: list[bytes] = []
    for length in lengths:
        strings.append(data[start : start + length])
        start += length
    return strings
