"""Datatypes and dataspaces as HDF5 describes them. Source: HDF5 File Format Specification 3.0, section IV.A.2."""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np

_INTEGER = struct.Struct("<HH")
_FLOAT = struct.Struct("<HHBBBBI")
_BIG_ENDIAN, _SIGNED = 0x01, 0x08
_IMPLIED = 0x20  # the leading bit of the mantissa is not stored
_FLOATS = {2: (10, 5, 15), 4: (23, 8, 127), 8: (52, 11, 1023)}
"""Bytes of IEEE 754's numbers to the bits of mantissa and exponent and the exponent's bias."""


class TypeClass(IntEnum):
    """Kinds of datatypes, as the specification numbers them."""

    INTEGER = 0
    FLOAT = 1
    TIME = 2
    STRING = 3
    BITS = 4
    OPAQUE = 5
    RECORD = 6
    REFERENCE = 7
    ENUMERATION = 8
    VARIABLE = 9
    ARRAY = 10


def type_class(content: bytes) -> TypeClass:
    """The kind of a datatype message. Raises `ValueError` for none."""
    return TypeClass(content[0] & 0x0F)


def width(content: bytes) -> int:
    """Bytes of one element."""
    return int.from_bytes(content[4:8], "little")


@lru_cache(maxsize=64)
def number(content: bytes) -> np.dtype[Any] | None:
    """The dtype of a datatype message, None where NumPy has none that is the same bit for bit.

    The arrays of a file have few kinds.
    """
    flags, second, third = content[1:4]
    size, kind = width(content), type_class(content)
    order = ">" if flags & _BIG_ENDIAN else "<"
    if kind is TypeClass.INTEGER and size in (1, 2, 4, 8):
        plain = _INTEGER.unpack_from(content, 8) == (0, 8 * size) and flags & ~(_BIG_ENDIAN | _SIGNED) == 0
        return np.dtype(f"{order}{'i' if flags & _SIGNED else 'u'}{size}") if plain else None
    if kind is TypeClass.FLOAT and size in _FLOATS:
        mantissa, exponent, bias = _FLOATS[size]
        layout = (0, 8 * size, mantissa, exponent, 0, mantissa, bias)
        plain = _FLOAT.unpack_from(content, 8) == layout
        same = (flags & ~_BIG_ENDIAN, second, third) == (_IMPLIED, 8 * size - 1, 0)
        return np.dtype(f"{order}f{size}") if plain and same else None
    return None


def shape_of(dataspace: bytes) -> tuple[int, ...] | None:
    """Lengths in a dataspace message, None for one that has no elements at all. Raises `ValueError`."""
    version, rank, _, kind = dataspace[:4]
    if version not in (1, 2):
        raise ValueError(f"a dataspace of version {version}")
    if version == 2 and kind == 2:
        return None
    return struct.unpack_from(f"<{rank}Q", dataspace, 8 if version == 1 else 4)
