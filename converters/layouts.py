"""Turning arrays from one layout into another without leaving the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import gcd, isfinite

import numpy as np

from converters.dialects.dialect import Axes
from converters.formats.base import Array, Scratch

_STRIP = 256
"""Numbers of a row of the result that are filled before the next row begins, at most."""
_LINE, _SETS, _WAYS = 64, 64, 8
"""The first cache of common processors: bytes of a line, how many sets of lines, and how many lines in each."""
LARGEST_PART = 4 << 20
"""Bytes of one of `permuted_parts`."""


@lru_cache(maxsize=64)
def inverse(axes: Axes) -> Axes:
    """The permutation that undoes another."""
    return tuple(axes.index(axis) for axis in range(len(axes)))


@lru_cache(maxsize=64)
def compose(first: Axes, second: Axes) -> Axes:
    """The permutation that does `first`, then `second`."""
    return tuple(first[axis] for axis in second)


def keeps_order(shape: tuple[int, ...], axes: Axes) -> bool:
    """True where an array of that shape in C order has the same bytes with its axes in the other order."""
    long = [axis for axis in axes if shape[axis] != 1]
    return long == sorted(long)


def permuted(array: Array, axes: Axes, *, scratch: Scratch) -> Array:
    """The array with its axes in another order, in C order, in the scratch buffer (or as it is, if nothing changes)."""
    moved = array.transpose(axes)
    if moved.flags.c_contiguous:
        return moved
    result = scratch.take(array.nbytes).view(array.dtype).reshape(moved.shape)
    copy_turned(moved, result)
    return result


def copy_turned(moved: Array, result: Array) -> None:
    """Copy an array whose axes were put into another order to one of the same shape in C order."""
    axis = max((axis for axis in range(moved.ndim) if moved.shape[axis] > 1), default=None)
    if axis is None or moved.strides[axis] == moved.dtype.itemsize:
        result[...] = moved
        return
    # NumPy fills the rows of the result one by one. Of so many numbers of a row, the lines of the source stay in the
    # processor's cache until the next rows take the numbers beside them.
    count = _strip(moved.strides[axis])
    index = [slice(None)] * moved.ndim
    for start in range(0, moved.shape[axis], count):
        index[axis] = slice(start, start + count)
        result[tuple(index)] = moved[tuple(index)]


def _strip(stride: int) -> int:
    """How many numbers that are `stride` bytes apart the first cache keeps.

    A line's address says which set it belongs to. Strides of many whole lines, as the rows of kernels have, leave most
    sets empty, and in the others each line drives out another.
    """
    lines, rest = divmod(stride, _LINE)
    return _STRIP if rest else min(_STRIP, _WAYS * _SETS // gcd(lines, _SETS))


def permuted_parts(array: Array, axes: Axes, *, scratch: Scratch) -> Iterator[Array]:
    """What `permuted` gives, in parts that follow each other; each is valid until the next.

    None is larger than `LARGEST_PART`, or one row of the first axis of the result that is longer than 1.
    """
    axis = next((axis for axis in axes if array.shape[axis] > 1), None)
    if axis is None or array.nbytes == 0:
        yield permuted(array, axes, scratch=scratch)
        return
    rows = max(1, LARGEST_PART * array.shape[axis] // array.nbytes)
    index = [slice(None)] * array.ndim
    for start in range(0, array.shape[axis], rows):
        index[axis] = slice(start, start + rows)
        yield permuted(array[tuple(index)], axes, scratch=scratch)


def cast(array: Array, dtype: np.dtype[np.generic]) -> Array:
    """The array in another floating-point type; values beyond its range become infinite."""
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        return array.astype(dtype)


def is_finite(array: Array) -> bool:
    """True unless the array holds NaN or an infinity."""
    with np.errstate(all="ignore"):
        # NaN and infinities survive a sum, which is much quicker than testing each value.
        total = np.add.reduce(array, axis=None, dtype=np.float32 if array.dtype.itemsize <= 4 else None)
        if isfinite(total):
            return True
        return bool(np.isfinite(array).all())
