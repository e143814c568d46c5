"""What the readers of all HDF5 files of Keras share: named datasets, read where their bytes are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from converters.formats._arrays import view
from converters.formats._hdf5.stored import Stored
from converters.formats._hdf5.window import Window
from converters.formats._input import InputFile
from converters.formats.base import Array, Location, Reader, Scratch, TensorInfo
from converters.formats.plain_bytes import PlainBytes


class Hdf5Reader(Reader):
    """Reads datasets by tensor names. HDF5's structures as Keras writes them have no checksums."""

    stored: Mapping[str, Stored]
    """Tensor name to dataset."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._scratch = Scratch()
        self.file = InputFile(path)
        try:
            self.window = self.open_window()
            self.name_tensors()
        except BaseException:
            self.close()
            raise
        self.tensors = {
            name: TensorInfo(name=name, shape=found.shape, dtype=found.dtype) for name, found in self.stored.items()
        }

    def open_window(self) -> Window:
        """Where the HDF5 file is; by default the whole file."""
        return Window(self.file, size=self.file.size)

    def name_tensors(self) -> None:
        """Look up what the HDF5 file holds: `stored`, `skipped`, `metadata`, `notes`."""
        raise NotImplementedError

    def read(self, name: str) -> Array:
        """The array; it is valid until the next `read` or `close`."""
        found = self.stored[name]
        buffer = self._scratch.take(found.nbytes)
        self.window.source.fill(buffer, offset=self.window.base + found.offset)
        if found.swapped:
            buffer.view(found.dtype).byteswap(inplace=True)
        return view(buffer, found.dtype, found.shape)

    def plain(self, name: str) -> PlainBytes | None:
        """The bytes of the array; None where they are big-endian or there are none."""
        found = self.stored[name]
        if found.swapped or found.nbytes == 0:
            return None
        return PlainBytes(self.window.source, offset=self.window.base + found.offset)

    def location(self, name: str) -> Location | None:
        """Where the plain bytes of the array are; None where they are big-endian or there are none."""
        found = self.stored[name]
        if found.swapped or found.nbytes == 0:
            return None
        return Location(path=self.path, offset=self.window.base + found.offset)

    def close(self) -> None:
        """Close the file."""
        self.file.close()
