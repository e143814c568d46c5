"""One dataset of an HDF5 file: what it holds and where, checked before anything is allocated for it."""

from __future__ import annotations

import struct
from enum import IntEnum
from math import prod
from typing import Any, NamedTuple

import numpy as np

from converters.formats._arrays import checked_nbytes, little_endian
from converters.formats._hdf5.attributes import Attributes
from converters.formats._hdf5.datatype import TypeClass, number, shape_of, type_class, width
from converters.formats._hdf5.errors import UNSOUND, damaged, unusual
from converters.formats._hdf5.header import Header, MessageType, last
from converters.formats.dtypes import BFLOAT16, dtype_of

_PLACE = struct.Struct("<QQ")
_NOWHERE = (1 << 64) - 1


class _Layout(IntEnum):
    COMPACT = 0
    CONTIGUOUS = 1
    CHUNKED = 2
    VIRTUAL = 3


class NotNumeric(Exception):
    """A dataset that holds no numbers; the text says what it holds."""

    def __init__(self, text: str, *, is_opaque: bool = False) -> None:
        super().__init__(text)
        self.is_opaque = is_opaque
        """Whether it holds bytes whose meaning only the writer knows."""


class Stored(NamedTuple):
    """The numbers of a dataset. A file has thousands."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    """Little-endian; bfloat16 where the file marks it as Keras does."""
    offset: int
    """Where its bytes begin in the HDF5 file."""
    swapped: bool
    """Whether they are big-endian."""

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * self.dtype.itemsize


def describe(header: Header, path: str, *, attributes: Attributes, size: int, where: str) -> Stored:
    """The numbers of the dataset with that header, in an HDF5 file of `size` bytes.

    Raises `NotNumeric`, `UnsupportedFile` for numbers that are elsewhere, packed or in pieces, and `FormatError` for a
    place or a shape that cannot be.
    """
    where = f"{where}: {path!r}"
    try:
        return _described(header, attributes=attributes, size=size, where=where)
    except UNSOUND as error:
        raise damaged(where, error) from error


def _described(header: Header, *, attributes: Attributes, size: int, where: str) -> Stored:
    if MessageType.EXTERNAL in header:
        raise unusual(where, "is kept in another file")
    datatype, dataspace = last(header, MessageType.DATATYPE), last(header, MessageType.DATASPACE)
    layout = last(header, MessageType.LAYOUT)
    if datatype is None or dataspace is None or layout is None:
        raise unusual(where, "has a type that is kept elsewhere")
    dtype = _dtype(datatype, header, attributes)
    shape = shape_of(dataspace)
    if shape is None:
        raise NotNumeric("it has no shape")
    nbytes = checked_nbytes(shape, dtype, where=where)
    offset = _offset(layout, nbytes, size=size, where=where)
    little = little_endian(dtype)
    return Stored(shape=shape, dtype=little, offset=offset, swapped=dtype is not little)


def _dtype(datatype: bytes, header: Header, attributes: Attributes) -> np.dtype[Any]:
    dtype = number(datatype)
    if dtype is not None:
        return dtype
    kind = type_class(datatype)
    if kind is TypeClass.OPAQUE and width(datatype) == 2 and attributes.text(header, "dtype") == BFLOAT16:
        return dtype_of(BFLOAT16)
    words = {TypeClass.STRING: "text", TypeClass.VARIABLE: "text or lists", TypeClass.REFERENCE: "references"}
    raise NotNumeric(
        f"it holds {words.get(kind, f'{kind.name.lower()} values')} that are no numbers of NumPy",
        is_opaque=kind is TypeClass.OPAQUE,
    )


def _offset(layout: bytes, nbytes: int, *, size: int, where: str) -> int:
    version, kind = layout[:2]
    if version not in (3, 4):
        raise unusual(where, f"has a layout of version {version}")
    if kind != _Layout.CONTIGUOUS:
        words = {
            _Layout.CHUNKED: "is in chunks, perhaps packed (`h5repack -f NONE -l CONTI` copies it without)",
            _Layout.VIRTUAL: "is kept in other files",
        }
        raise unusual(where, words.get(_Layout(kind), "is kept in its header"))
    offset, stored = _PLACE.unpack_from(layout, 2)
    if nbytes == 0:
        return 0
    if offset == _NOWHERE or stored != nbytes:
        raise damaged(where, f"{nbytes} bytes are expected, {0 if offset == _NOWHERE else stored} are there")
    if offset + nbytes > size:
        raise damaged(where, f"{nbytes} bytes are expected at offset {offset}, but the file ends at {size}")
    return offset
