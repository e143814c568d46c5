"""A checkpoint file as a container of named arrays: what every format offers.

A reader knows names, shapes and dtypes before it reads data, and reads one array at a time into a buffer that it
uses again. A writer is told names, shapes and dtypes first and takes the arrays one at a time, so that no format
needs a whole network in memory.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from math import prod
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from converters.errors import FormatError, UnreadableFile, UnsupportedFile

if TYPE_CHECKING:
    from converters.formats.plain_bytes import PlainBytes

Array = NDArray[Any]
NO_METADATA: Mapping[str, str] = MappingProxyType({})


class TensorInfo(NamedTuple):
    """Name, shape and dtype of an array (bfloat16 as the dtype of ml_dtypes)."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of its data."""
        return prod(self.shape) * self.dtype.itemsize


class Location(NamedTuple):
    """Where a file holds the plain bytes of an array: little-endian, C order, nothing between."""

    path: Path
    offset: int


class Scratch:
    """One buffer, used again for every read: as large as the largest array so far, or as the caller foresees."""

    def __init__(self, *, at_once: int = 0) -> None:
        """At least `at_once` bytes are taken, the first time: a buffer that grows comes from the system each time."""
        self._buffer = np.empty(0, dtype=np.uint8)
        self._at_once = at_once

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """Room for `nbytes` bytes; what was taken before becomes invalid. Raises `UnsupportedFile` without memory."""
        if self._buffer.nbytes < nbytes:
            self._buffer = np.empty(0, dtype=np.uint8)
            size = max(nbytes, self._at_once)
            try:
                self._buffer = np.empty(size, dtype=np.uint8)
            except MemoryError as error:
                raise UnsupportedFile(f"An array of {size} bytes does not fit into memory.") from error
        return self._buffer[:nbytes]


def read_exactly(descriptor: int, buffer: NDArray[np.uint8], *, offset: int, where: str) -> None:
    """Fill the buffer from an open file.

    Raises `FormatError` when the file ends before, `UnreadableFile` when the system refuses to read.
    """
    view = buffer.data
    done = 0
    while done < len(view):
        try:
            count = os.preadv(descriptor, [view[done:]], offset + done)
        except OSError as error:
            raise UnreadableFile(f"{where} cannot be read: {error.strerror}.") from error
        if count == 0:
            raise FormatError(
                f"{where}: expected {len(view)} bytes at offset {offset}, found only {done}: the file is truncated. "
                "Fetch or copy it again."
            )
        done += count


class Reader(AbstractContextManager["Reader"], ABC):
    """An open checkpoint.

    Opening reads names, shapes and dtypes only. Raises `FormatError` for a file that is damaged or hostile,
    `UnsupportedFile` for one that is sound but holds what is not read here.
    """

    format: str
    """Name of the format, a key of `converters.formats.FORMATS`."""
    path: Path
    """What the user named."""
    tensors: Mapping[str, TensorInfo]
    """Every numeric array, in the file's own order."""
    metadata: Mapping[str, str] = NO_METADATA
    """Text that travels with the arrays, `effnet.spec` among it where this project wrote the file."""
    skipped: Mapping[str, str] = NO_METADATA
    """Entries that are no numeric arrays, each with the reason why it cannot be read as one."""
    notes: tuple[str, ...] = ()
    """What was decided while it was opened, a sentence each."""
    implied: frozenset[str] = frozenset()
    """Those of `tensors` that the file itself lacks, because its layers do without them."""
    layers: frozenset[str] | None = None
    """The layers of a Keras file that lists those without arrays too, named as arrays are, without the leaf."""
    layer_classes: Mapping[str, str] = MappingProxyType({})
    """The class of each, in Keras' snake case, as far as the file tells it."""

    def describe_as(self, other: Reader) -> None:
        """Say of the file what another reader of it says."""
        self.format, self.path, self.tensors = other.format, other.path, other.tensors
        self.metadata, self.skipped, self.notes = other.metadata, other.skipped, other.notes
        self.implied, self.layers, self.layer_classes = other.implied, other.layers, other.layer_classes

    @abstractmethod
    def read(self, name: str) -> Array:
        """The array, read-only, C order, little-endian; it is valid until the next `read` or `close`.

        Raises `KeyError` for an unknown name and `FormatError` when the data does not match its checksum.
        """

    def plain(self, name: str) -> PlainBytes | None:
        """The bytes of the array, to be read by any thread beside `read`; None where only `read` can give them.

        Raises `KeyError` for an unknown name.
        """
        del name
        return None

    def read_ahead(self, name: str) -> Array:
        """A small array before the others are read, which does not wait for a checksum of many arrays together.

        Raises what `read` raises; what `check_plain` says later holds for this array too.
        """
        plain = self.plain(name)
        if plain is None:
            return self.read(name)
        info = self.tensors[name]
        buffer = np.empty(info.nbytes, dtype=np.uint8)
        plain.fill(buffer)
        plain.check()
        return buffer.view(info.dtype).reshape(info.shape)

    def check_plain(self) -> None:
        """Compare a checksum that the file has of many arrays together; to be called when all that is wanted was read.

        Raises `FormatError` when it does not match. Checksums of single arrays are compared by `PlainBytes.check`.
        """

    @abstractmethod
    def location(self, name: str) -> Location | None:
        """Where the plain bytes of the array are, None where they are compressed, partitioned or byte-swapped."""

    @abstractmethod
    def close(self) -> None:
        """Release the files; temporary ones are removed."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Writer(AbstractContextManager["Writer"], ABC):
    """A checkpoint being written: `write` every array in the order of `tensors`, then `commit`.

    Nothing appears under the final name before `commit`; leaving the context without it leaves nothing behind.
    Raises `OutputError` when the output exists and is not to be overwritten, its folder does not exist, or the disk
    refuses.
    """

    format: ClassVar[str]

    @abstractmethod
    def __init__(
        self, path: Path, tensors: Sequence[TensorInfo], metadata: Mapping[str, str], *, overwrite: bool, sync: bool
    ) -> None:
        """`sync` waits until the disk has the data before the final name is given."""

    @abstractmethod
    def write(self, array: Array) -> Location:
        """Write the next array and read its bytes back; says where they are. Raises `OutputError` if they differ."""

    def reserve(self) -> Location | None:
        """The place of the next array, for `write_at`; None where the array must be given to `write`.

        Where there is a place, the array counts as written.
        """
        return None

    def write_at(self, place: Location, start: int, data: Array) -> None:
        """Write a part of a reserved array, `start` bytes behind its beginning, and read it back.

        Any thread may write a part while others write others. Raises `OutputError` if other bytes are read back.
        """
        raise NotImplementedError(f"{type(self).__name__} reserves no place.")

    @abstractmethod
    def finish(self) -> Reader:
        """Write what follows the last array and open the result, still without its final name, with its reader."""

    @abstractmethod
    def commit(self) -> tuple[Path, ...]:
        """Give the files their final names; says which files those are."""

    @abstractmethod
    def close(self) -> None:
        """Discard what was not committed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
