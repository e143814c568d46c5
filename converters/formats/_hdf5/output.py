"""HDF5 files written: h5py lays out the structures, the numbers are then written where their room is.

h5py itself can neither write to a file without a name nor say when an array is on the disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.errors import OutputError
from converters.formats._arrays import Expected
from converters.formats._hdf5.sparse import SparseFile
from converters.formats.base import Array, Location, TensorInfo
from converters.formats.dtypes import BFLOAT16
from converters.formats.staging import StagedFile

ALIGNMENT = 8
"""Bytes; every structure and every array begins at a multiple."""
_DTYPES = frozenset(
    {BFLOAT16, "float16", "float32", "float64"} | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
LARGEST_ATTRIBUTE = 64512
"""Bytes of a list of names before it goes on in another attribute, as in Keras; HDF5's own limit is 64 kB."""

AttributeValue = str | NDArray[np.bytes_]


class Structure(NamedTuple):
    """What an HDF5 file is made of, its numbers apart; paths have no leading `/`, the root is the empty path."""

    datasets: Sequence[tuple[str, TensorInfo]]
    """Path and kind of each array, in the order in which they are written."""
    attributes: Mapping[str, Mapping[str, AttributeValue]] = MappingProxyType({})
    """Path of a group to its attributes."""


def names_attribute(name: str, values: Sequence[str]) -> dict[str, AttributeValue]:
    """A list of names as attributes, in equal pieces where it is long. Raises `OutputError` for one very long name."""
    if not values:
        return {name: np.empty(0, dtype="S1")}
    array = np.array([value.encode() for value in values], dtype=np.bytes_)
    if array.itemsize > LARGEST_ATTRIBUTE:
        raise OutputError(f"HDF5 cannot list names of more than {LARGEST_ATTRIBUTE} bytes; found {array.itemsize}.")
    if array.nbytes <= LARGEST_ATTRIBUTE:
        return {name: array}
    rows = LARGEST_ATTRIBUTE // array.itemsize
    return {f"{name}{number}": array[start : start + rows] for number, start in enumerate(range(0, len(array), rows))}


class Hdf5Output:
    """An HDF5 file being written: its structures at once, then one array after the other.

    Raises `OutputError` for types that it cannot hold, and where the disk refuses.
    """

    def __init__(self, path: Path, structure: Structure, expected: Expected, *, overwrite: bool, sync: bool) -> None:
        for _, info in structure.datasets:
            _check(info, path)
        self._expected = expected
        self.staged = StagedFile(path, overwrite=overwrite, sync=sync)
        try:
            self._offsets = _lay_out(self.staged, structure)
        except BaseException:
            self.close()
            raise

    def write(self, array: Array) -> Location:
        """Write the next array at its place and read its bytes back."""
        index, _, plain = self._expected.take(array)
        self.staged.overwrite_at(self._offsets[index], plain)
        return Location(path=self.staged.path, offset=self._offsets[index])

    def reserve(self) -> Location:
        """The place of the next array."""
        return Location(path=self.staged.path, offset=self._offsets[self._expected.skip()])

    def write_at(self, place: Location, start: int, data: Array) -> None:
        """Write a part of a reserved array and read it back."""
        self.staged.overwrite_at(place.offset + start, data)

    def finish(self) -> Path:
        """Where the result can be read, still without its final name."""
        self._expected.check_complete()
        return self.staged.path

    def commit(self) -> tuple[Path, ...]:
        """Give the file its final name."""
        self._expected.check_complete()
        self.staged.commit()
        return (self.staged.target,)

    def close(self) -> None:
        """Discard what was not committed."""
        self.staged.close()


def _check(info: TensorInfo, path: Path) -> None:
    if info.dtype.name not in _DTYPES:
        raise OutputError(f"{path}: Keras' HDF5 files cannot hold {info.dtype} ({info.name}). Choose another --dtype.")
    if info.nbytes == 0:
        raise OutputError(f"{path}: {info.name} is empty, for which HDF5 has no place; expected a shape without 0.")


def _lay_out(staged: StagedFile, structure: Structure) -> list[int]:
    """Write all structures, leave room for the arrays; gives the offset of each array."""
    library: Any = import_module("h5py")
    pages = SparseFile()
    try:
        with library.File(pages, "w", alignment_threshold=1, alignment_interval=ALIGNMENT) as file:
            for path, attributes in structure.attributes.items():
                group = file.require_group(path) if path else file
                for name, value in attributes.items():
                    group.attrs[name] = value
            datasets = [_create(file, path, info) for path, info in structure.datasets]
            offsets = [int(dataset.get_offset()) for dataset in datasets]
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise OutputError(f"{staged.target} cannot be written as HDF5: {error}.") from error
    staged.allocate(pages.size)
    for offset, data in pages.runs():
        staged.overwrite_at(offset, data)
    return offsets


def _create(file: Any, path: str, info: TensorInfo) -> Any:
    library: Any = import_module("h5py")
    properties = library.h5p.create(library.h5p.DATASET_CREATE)
    properties.set_layout(library.h5d.CONTIGUOUS)
    properties.set_alloc_time(library.h5d.ALLOC_TIME_EARLY)  # its room is known at once,
    properties.set_fill_time(library.h5d.FILL_TIME_NEVER)  # and written once only
    properties.set_obj_track_times(False)  # equal content gives equal files
    links = library.h5p.create(library.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    kind = library.h5t.py_create(np.dtype("V2") if info.dtype.name == BFLOAT16 else info.dtype.newbyteorder("<"))
    space = library.h5s.create_simple(info.shape) if info.shape else library.h5s.create(library.h5s.SCALAR)
    dataset = library.h5d.create(file.id, path.encode(), kind, space, properties, links)
    if info.dtype.name == BFLOAT16:
        library.Dataset(dataset).attrs["dtype"] = info.dtype.name
    return dataset
