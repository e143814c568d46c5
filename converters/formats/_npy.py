"""The header of a `.npy` array, read without evaluating Python, and written.

Source: numpy.lib.format, versions 1.0 to 3.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from converters.errors import FormatError, UnsupportedFile
from converters.formats._arrays import checked_nbytes
from converters.formats._signatures import NPY as MAGIC
from converters.formats.dtypes import BFLOAT16, dtype_of

LONGEST_HEADER = 10_000
"""As in numpy.lib.format."""
START = len(MAGIC) + 6 + LONGEST_HEADER
"""So many bytes of a file hold its whole header."""
USUAL_START = 256
"""So many do in most files."""
_ALIGNMENT = 64
# NumPy has no bfloat16: it writes an array of ml_dtypes' as two-byte voids, and `.view(bfloat16)` restores it.
_BFLOAT16_DESCR = "<V2"
_DTYPES = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"])
_FIELD = re.compile(
    r"\s*['\"](?P<key>descr|fortran_order|shape)['\"]\s*:\s*"
    r"(?P<value>'[^']*'|\"[^\"]*\"|True|False|\([0-9L,\s]*\)|\[.*?\](?=\s*,\s*['\"](?:fortran_order|shape)|\s*,?\s*$))"
    r"\s*(?:,|$)",
    re.DOTALL,
)


class NotNumeric(Exception):
    """A sound array that is none of numbers, with the reason."""


class NpyHeader(NamedTuple):
    """What a header says; `dtype` is the plain one, `swapped` says that the bytes are big-endian.

    A file has thousands.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    swapped: bool
    length: int
    """Bytes before the data."""


def parse_npy_header(start: bytes, where: str) -> NpyHeader:
    """Read the header from the first `START` bytes (fewer in a small file).

    Raises `FormatError` for a broken header, `UnsupportedFile` for a version that is not known, and `NotNumeric` for
    objects, text, dates and structures.
    """
    text, length = _header_text(start, where)
    fields = _fields(text)
    if fields is None:
        raise FormatError(f"{where}: the header of the array is damaged: {text[:80]!r}.")
    dtype, swapped = _dtype(fields["descr"])
    lengths = re.findall(r"[0-9]+", fields["shape"])
    if fields["fortran_order"] not in ("True", "False") or any(len(digits) > 19 for digits in lengths):
        raise FormatError(f"{where}: the header of the array is damaged.")
    shape = tuple(int(digits) for digits in lengths)
    checked_nbytes(shape, dtype, where=where)
    return NpyHeader(
        dtype=dtype, shape=shape, fortran_order=fields["fortran_order"] == "True", swapped=swapped, length=length
    )


def header_end(start: bytes) -> int:
    """Where the header ends, as the first bytes of an array say (at least 12)."""
    return sum(_header_place(start))


def _header_place(start: bytes) -> tuple[int, int]:
    """Where the text of the header begins, and its length."""
    begin = len(MAGIC) + (4 if start[len(MAGIC)] == 1 else 6)
    return begin, int.from_bytes(start[len(MAGIC) + 2 : begin], "little")


def _header_text(start: bytes, where: str) -> tuple[str, int]:
    if len(start) < 10 or not start.startswith(MAGIC):
        raise FormatError(f"{where}: expected an array in NumPy's format, found the bytes {start[:8]!r}.")
    version = start[len(MAGIC)]
    if version not in (1, 2, 3):
        raise UnsupportedFile(f"{where}: version {version} of NumPy's array format is not known (1 to 3 are).")
    begin, length = _header_place(start)
    if length > LONGEST_HEADER:
        raise UnsupportedFile(f"{where}: an array header of {length} bytes; at most {LONGEST_HEADER} are read.")
    if begin + length > len(start):
        raise FormatError(f"{where}: the array ends inside its header: the file is truncated or damaged.")
    # Latin-1 never fails; version 3 differs only in the names of fields, which are no numbers.
    return start[begin : begin + length].decode("latin-1"), begin + length


@lru_cache(maxsize=64)
def _fields(text: str) -> Mapping[str, str] | None:
    """The three fields of a header as text, None for a damaged one. The arrays of a file have few shapes."""
    inner = text.strip()
    fields: dict[str, str] = {}
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1].strip()
        position = 0
        while match := _FIELD.match(inner, position):
            if match["key"] in fields:
                break
            fields[match["key"]] = match["value"]
            position = match.end()
        if len(fields) == 3 and not inner[position:].strip() and fields["shape"].startswith("("):
            return fields
    return None


def _dtype(descr: str) -> tuple[np.dtype[Any], bool]:
    kind = descr[1:-1]
    if descr[0] == "[":
        raise NotNumeric("an array of structures")
    if kind[1:] == "O":
        raise NotNumeric("an array of Python objects; reading it could run code, so it is never unpickled")
    if kind == _BFLOAT16_DESCR:
        return dtype_of(BFLOAT16), False
    if kind[:1] not in ("<", ">", "|", "=") or kind[1:] not in _DTYPES:
        raise NotNumeric(f"an array of the dtype {kind[:40]!r}, which is none of numbers that is read here")
    return np.dtype("<" + kind[1:]), kind[0] == ">"


def npy_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes | None:
    """The header of an array in C order, little-endian; its length is a multiple of 64. None when NumPy cannot."""
    descr = _BFLOAT16_DESCR if dtype.name == BFLOAT16 else dtype.newbyteorder("<").str
    if descr[1:] not in _DTYPES and descr != _BFLOAT16_DESCR:
        return None
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    prefix = len(MAGIC) + 4
    text += " " * (-(prefix + len(text) + 1) % _ALIGNMENT) + "\n"
    return MAGIC + b"\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
