"""What all containers of arrays need: checks of shapes, byte order, and the arrays that a writer still expects."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.errors import FormatError, OutputError, UnsupportedFile
from converters.formats.base import Array, TensorInfo

_LARGEST = 1 << 62
_NUMPY_DIMENSIONS = 64


def checked_nbytes(shape: Sequence[int], dtype: np.dtype[Any], *, where: str) -> int:
    """Bytes of an array of that shape.

    Raises `FormatError` when the size overflows, `UnsupportedFile` when NumPy cannot have so many dimensions.
    """
    if len(shape) > _NUMPY_DIMENSIONS:
        raise UnsupportedFile(
            f"{where}: an array of {len(shape)} dimensions; at most {_NUMPY_DIMENSIONS} can be read (a limit of NumPy)."
        )
    nbytes = prod(shape) * dtype.itemsize
    if nbytes <= _LARGEST and (not shape or min(shape) > 0):
        return nbytes
    # Dimensions of length 0 do not excuse the others: NumPy refuses (0, 2**62) too.
    if any(length < 0 for length in shape) or prod(max(length, 1) for length in shape) * dtype.itemsize > _LARGEST:
        raise FormatError(f"{where}: no array can have the shape {_shown(shape)}: the file is damaged or hostile.")
    return nbytes


def _shown(shape: Sequence[int]) -> str:
    # Python refuses to print very long integers, with an error of its own.
    return "(" + ", ".join(str(length) if abs(length) <= _LARGEST else "over 2**62" for length in shape) + ")"


def little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The same dtype with its least significant byte first."""
    return dtype.newbyteorder("<") if dtype.byteorder == ">" else dtype


def view(buffer: NDArray[np.uint8], dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Plain bytes as a read-only array in C order."""
    array = buffer.view(dtype).reshape(shape)
    array.flags.writeable = False
    return array


def _is_text(name: str) -> bool:
    try:
        return bool(name.encode()) and "\0" not in name
    except UnicodeEncodeError:
        return False


class Expected:
    """The arrays that a writer was promised, in order, and how many of them came.

    Raises `OutputError` when two have the same name or a name is no valid text.
    """

    def __init__(self, tensors: Sequence[TensorInfo], path: Path) -> None:
        self._tensors = tuple(tensors)
        self._count = 0
        seen: set[str] = set()
        for info in self._tensors:
            if info.name in seen or not _is_text(info.name):
                reason = "stands for two arrays" if info.name in seen else "cannot be written as UTF-8"
                raise OutputError(f"{path}: the name {info.name!a} {reason}.")
            seen.add(info.name)

    def skip(self) -> int:
        """Index of the next array, which the caller writes in parts."""
        self._count += 1
        return self._count - 1

    def take(self, array: Array) -> tuple[int, TensorInfo, Array]:
        """Index, description and plain form (little-endian, C order) of the next array.

        Raises `ValueError` when it is not what was promised: that is a mistake of the caller, not of the user.
        """
        if self._count == len(self._tensors):
            raise ValueError(f"All {self._count} arrays were written already.")
        index, info = self._count, self._tensors[self._count]
        if array.shape != info.shape or array.dtype != info.dtype:
            raise ValueError(
                f"{info.name}: promised {info.dtype} {info.shape}, given {array.dtype} {array.shape}; "
                "write the arrays in the order of the descriptions."
            )
        self._count += 1
        # ascontiguousarray makes a scalar one-dimensional, hence the shape once more.
        plain = np.ascontiguousarray(array, dtype=little_endian(array.dtype)).reshape(info.shape)
        return index, info, plain

    def check_complete(self) -> None:
        """Raise `ValueError` unless every promised array came."""
        if self._count != len(self._tensors):
            raise ValueError(f"{len(self._tensors)} arrays were promised, {self._count} were written.")
