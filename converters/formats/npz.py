"""NumPy's `.npz`: a zip archive of `.npy` arrays.

bfloat16 is held as NumPy itself holds an array of `ml_dtypes.bfloat16`: as two-byte voids (`<V2`). `np.load` opens it
and `.view(ml_dtypes.bfloat16)` restores it; here it is read as bfloat16 at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from converters.errors import FormatError, OutputError, some_of
from converters.formats._arrays import Expected, view
from converters.formats._input import InputFile
from converters.formats._metadata import METADATA_NAME, metadata_bytes, read_metadata
from converters.formats._npy import START, USUAL_START, NotNumeric, NpyHeader, header_end, npy_header, parse_npy_header
from converters.formats._zip import Entry, Method, ZipArchive
from converters.formats._zip_writer import ZipWriter
from converters.formats.base import Array, Location, Reader, Scratch, TensorInfo, Writer
from converters.formats.plain_bytes import PlainBytes
from converters.formats.staging import StagedFile

_SUFFIX = ".npy"


class NpzReader(Reader):
    """An open `.npz` archive. Arrays of Python objects are listed as skipped and never unpickled."""

    format = "npz"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = InputFile(path)
        self._scratch, self._ordered = Scratch(), Scratch()
        self._arrays: dict[str, tuple[Entry, NpyHeader]] = {}
        tensors: dict[str, TensorInfo] = {}
        skipped: dict[str, str] = {}
        try:
            self._archive = ZipArchive(self._file)
            for name, entry in self._archive.entries.items():
                if not name.endswith(_SUFFIX):
                    if name != METADATA_NAME:
                        skipped[name] = "no array: its name does not end with .npy"
                    continue
                array = name.removesuffix(_SUFFIX)
                try:
                    tensors[array] = self._open(array, entry)
                except NotNumeric as reason:
                    # Only a sound entry may be left out: damage could make numbers look like something else.
                    self._archive.fill(entry, self._scratch.take(entry.size))
                    skipped[array] = str(reason)
            if not tensors and skipped.keys() == self._archive.entries.keys() and skipped:
                raise FormatError(f"{path} is a zip archive without any array of NumPy; it holds: {some_of(skipped)}.")
            self.metadata = read_metadata(self._archive, METADATA_NAME)
        except BaseException:
            self.close()
            raise
        self.tensors, self.skipped = tensors, skipped

    def _open(self, name: str, entry: Entry) -> TensorInfo:
        where = f"{self.path}: {name!r}"
        start = self._archive.start(entry, USUAL_START)
        if len(start) == USUAL_START and header_end(start) > USUAL_START:
            start = self._archive.start(entry, START)
        header = parse_npy_header(start, where)
        info = TensorInfo(name=name, shape=header.shape, dtype=header.dtype)
        if header.length + info.nbytes != entry.size:
            raise FormatError(
                f"{where}: {info.dtype} {info.shape} needs {info.nbytes} bytes, the entry has "
                f"{entry.size - header.length}: the file is damaged or hostile."
            )
        self._arrays[name] = entry, header
        return info

    def read(self, name: str) -> Array:
        """The array; it is valid until the next `read` or `close`."""
        info = self.tensors[name]
        entry, header = self._arrays[name]
        whole = self._scratch.take(entry.size)
        self._archive.fill(entry, whole)
        data = whole[header.length :]
        if header.swapped:
            data.view(info.dtype).byteswap(inplace=True)
        if not header.fortran_order:
            return view(data, info.dtype, info.shape)
        ordered = self._ordered.take(info.nbytes)
        # (last axis, ..., first axis) in C order -> (first axis, ..., last axis)
        np.copyto(ordered.view(info.dtype).reshape(info.shape), data.view(info.dtype).reshape(info.shape[::-1]).T)
        return view(ordered, info.dtype, info.shape)

    def plain(self, name: str) -> PlainBytes | None:
        """The bytes of the array; None where they are compressed, byte-swapped or in Fortran order."""
        entry, header = self._arrays[name]
        return None if header.swapped or header.fortran_order else self._archive.plain(entry, before=header.length)

    def location(self, name: str) -> Location | None:
        """Where the plain bytes of the array are; None where they are compressed, byte-swapped or in Fortran order."""
        entry, header = self._arrays[name]
        if entry.method is not Method.STORED or header.swapped or header.fortran_order:
            return None
        return Location(path=self.path, offset=entry.offset + header.length)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class NpzWriter(Writer):
    """A `.npz` archive being written: entries stored plainly, as `np.savez` does, their data at multiples of 64."""

    format: ClassVar[str] = "npz"

    def __init__(
        self, path: Path, tensors: Sequence[TensorInfo], metadata: Mapping[str, str], *, overwrite: bool, sync: bool
    ) -> None:
        self._expected = Expected(tensors, path)
        self._headers = [_header(info, path) for info in tensors]
        self._metadata = metadata
        self._staged = StagedFile(path, overwrite=overwrite, sync=sync)
        self._zip = ZipWriter(self._staged)
        self._complete = False

    def write(self, array: Array) -> Location:
        """Append the next array and read its bytes back."""
        index, info, plain = self._expected.take(array)
        header = self._headers[index]
        offset = self._zip.add(info.name + _SUFFIX, header, plain)
        return Location(path=self._staged.path, offset=offset + len(header))

    def finish(self) -> NpzReader:
        """Append metadata and directory, and open the result, still without its final name."""
        self._finish()
        return NpzReader(self._staged.path)

    def _finish(self) -> None:
        if not self._complete:
            self._expected.check_complete()
            if self._metadata:
                self._zip.add(METADATA_NAME, metadata_bytes(self._metadata))
            self._zip.finish()
            self._complete = True

    def commit(self) -> tuple[Path, ...]:
        """Give the file its final name."""
        self._finish()
        self._staged.commit()
        return (self._staged.target,)

    def close(self) -> None:
        """Discard what was not committed."""
        self._staged.close()


def _header(info: TensorInfo, path: Path) -> bytes:
    header = npy_header(info.dtype, info.shape)
    if header is None:
        raise OutputError(f"{path}: npz cannot hold {info.dtype} ({info.name}). Choose another --dtype or safetensors.")
    return header
