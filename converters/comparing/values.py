"""The numbers of weights, whatever type they are stored in.

Two arrays hold the same numbers when their values are equal after exact widening: a float16 value is also a float32
value, and that one a float64 value. Zero and minus zero are two numbers; every NaN is the same one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.formats.base import Array

_BLOCK = 1 << 16
"""Numbers that are looked at together: their widened copies fit a processor's cache."""
FLOAT32 = np.dtype("<f4")
FLOAT64 = np.dtype("<f8")
_INTEGERS = {FLOAT32: np.dtype("<u4"), FLOAT64: np.dtype("<u8")}
_NAN = {FLOAT32: 0x7FC00000, FLOAT64: 0x7FF8000000000000}


def blocks(array: Array) -> Iterator[Array]:
    """The array in C order, a few numbers at a time. No copy of an array that is in that order already."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        yield flat[start : start + _BLOCK]


def narrowest(array: Array) -> np.dtype[Any]:
    """float32 where that type holds every number of a floating-point array exactly, else float64."""
    if array.dtype.itemsize <= FLOAT32.itemsize:
        return FLOAT32
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        exact = all(
            np.array_equal(block.astype(FLOAT32).astype(FLOAT64), block, equal_nan=True) for block in blocks(array)
        )
    return FLOAT32 if exact else FLOAT64


def widened(block: Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The numbers in `dtype`, little-endian, with one pattern of bits for every NaN."""
    with np.errstate(invalid="ignore"):  # of signalling NaN
        values: NDArray[Any] = block.astype(dtype)
    absent = np.isnan(values)
    if absent.any():
        values.view(_INTEGERS[dtype])[absent] = _NAN[dtype]
    return values


def bits(values: NDArray[Any]) -> NDArray[Any]:
    """The same memory as unsigned integers: what tells 0 from -0, and finds NaN equal to NaN."""
    return values.view(_INTEGERS[values.dtype])
