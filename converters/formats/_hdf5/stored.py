"""One dataset of an HDF5 file: what it holds and where, checked before anything is allocated for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from math import prod
from typing import Any

import ml_dtypes
import numpy as np

from converters.formats._arrays import checked_nbytes
from converters.formats._hdf5.attributes import Attributes
from converters.formats._hdf5.datatype import TypeClass, number, shape_of, type_class, width
from converters.formats._hdf5.errors import damaged, reading, unusual
from converters.formats._hdf5.header import Header, MessageType

_PLACE = struct.Struct("<QQ")
_NOWHERE = (1 << 64) - 1


class _Layout(IntEnum):
    COMPACT = 0
    CONTIGUOUS = 1
    CHUNKED = 2
    VIRTUAL = 3


class NotNumeric(Exception):
    """A dataset that holds no numbers; the text says what it holds."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The numbers of a dataset."""

    path: str
    """Its name in the HDF5 file, without the leading `/`."""
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
    with reading(where):
        found = {message.type: message for message in header}
        if MessageType.EXTERNAL in found:
            raise unusual(where, "is kept in another file")
        parts = [found.get(kind) for kind in (MessageType.DATATYPE, MessageType.DATASPACE, MessageType.LAYOUT)]
        if any(part is None or part.is_shared for part in parts):
            raise unusual(where, "has a type that is kept elsewhere")
        datatype, dataspace, layout = (part.content for part in parts if part is not None)
        dtype = _dtype(datatype, header, attributes)
        shape = shape_of(dataspace)
        if shape is None:
            raise NotNumeric("it has no shape")
        nbytes = checked_nbytes(shape, dtype, where=where)
        offset = _offset(layout, nbytes, size=size, where=where)
    little = dtype.newbyteorder("<")
    return Stored(path=path, shape=shape, dtype=little, offset=offset, swapped=dtype != little)


def _dtype(datatype: bytes, header: Header, attributes: Attributes) -> np.dtype[Any]:
    dtype, kind = number(datatype), type_class(datatype)
    if kind is TypeClass.OPAQUE and width(datatype) == 2 and attributes.text(header, "dtype") == "bfloat16":
        return np.dtype(ml_dtypes.bfloat16)
    if dtype is None:
        words = {TypeClass.STRING: "text", TypeClass.VARIABLE: "text or lists", TypeClass.REFERENCE: "references"}
        raise NotNumeric(f"it holds {words.get(kind, f'{kind.name.lower()} values')} that are no numbers of NumPy")
    return dtype


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
