"""PyTorch's files: the zip format read and written without PyTorch, older ones read through it.

Source: torch.serialization and caffe2/serialize/inline_container.cc of PyTorch 2.13.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from converters.errors import FormatError, OutputError
from converters.formats._arrays import Expected
from converters.formats._hub_files import TORCH_WEIGHTS
from converters.formats._input import InputFile
from converters.formats._metadata import METADATA_NAME, metadata_bytes
from converters.formats._pickle_writer import can_hold, dump_state
from converters.formats._signatures import is_old_torch
from converters.formats._torch_zip import TorchArchive
from converters.formats._zip_records import LOCAL_SIGNATURE
from converters.formats._zip_writer import ZipWriter
from converters.formats.base import Array, Location, Reader, TensorInfo, Writer
from converters.formats.companions import read_companions
from converters.formats.plain_bytes import PlainBytes
from converters.formats.staging import StagedFile

_ROOT = "archive/"
_HEAD = 512


class PthReader(Reader):
    """An open PyTorch file: the state dict in it, at the top or nested as `averages.training_keys` has it.

    Beside a file named `pytorch_model.bin`, `config.json` is read into `metadata`.
    Nothing in the file is executed. Older files need PyTorch and are held in memory.
    """

    format = "pth"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = InputFile(path)
        self._archive: TorchArchive | None = None
        self._legacy: Mapping[str, Any] = {}
        try:
            head = self._file.bytes_at(0, min(_HEAD, self._file.size))
            if head.startswith(LOCAL_SIGNATURE):
                self._open_zip()
            elif is_old_torch(head):
                self._open_legacy()
            else:
                raise FormatError(f"{path} is no PyTorch file: it starts with {head[:8]!r}, expected b'PK\\x03\\x04'.")
            if path.name == TORCH_WEIGHTS:
                companions, self.notes = read_companions(path.parent)
                self.metadata = {**self.metadata, **companions}
        except BaseException:
            self.close()
            raise

    def _open_zip(self) -> None:
        self._archive = archive = TorchArchive(self._file)
        self.tensors = {
            name: TensorInfo(name=name, shape=found.shape, dtype=found.dtype) for name, found in archive.views.items()
        }
        self.skipped, self.metadata = archive.skipped, archive.metadata

    def _open_legacy(self) -> None:
        from converters.formats._torch_legacy import as_array, load_legacy  # noqa: PLC0415 - hardly ever needed

        state = load_legacy(self.path)
        self._legacy, self.skipped, self.metadata = state.tensors, state.skipped, state.texts
        arrays = {name: as_array(tensor, where=f"{self.path}: {name!r}") for name, tensor in self._legacy.items()}
        self.tensors = {
            name: TensorInfo(name=name, shape=array.shape, dtype=array.dtype) for name, array in arrays.items()
        }

    def read(self, name: str) -> Array:
        """The array; it is valid until the next `read` or `close`."""
        if self._archive is not None:
            return self._archive.read(name)
        from converters.formats._torch_legacy import as_array  # noqa: PLC0415 - as above

        array = as_array(self._legacy[name], where=f"{self.path}: {name!r}")
        array.flags.writeable = False
        return array

    def plain(self, name: str) -> PlainBytes | None:
        """The bytes of the array; None where they are scattered, byte-swapped or in an older file."""
        return None if self._archive is None else self._archive.plain(name)

    def location(self, name: str) -> Location | None:
        """Where the plain bytes of the array are; None where they are scattered, byte-swapped or in an older file."""
        offset = None if self._archive is None else self._archive.offset(name)
        return None if offset is None else Location(path=self.path, offset=offset)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._legacy = {}


class PthWriter(Writer):
    """A PyTorch file being written: as `torch.save(dict_of_tensors, path)` writes it, `metadata` in one more record.

    `torch.load` opens it with `weights_only=True` and with `mmap=True`.
    """

    format: ClassVar[str] = "pth"

    def __init__(
        self, path: Path, tensors: Sequence[TensorInfo], metadata: Mapping[str, str], *, overwrite: bool, sync: bool
    ) -> None:
        self._expected = Expected(tensors, path)
        for info in tensors:
            if not can_hold(info):
                raise OutputError(f"{path}: PyTorch has no dtype {info.dtype} ({info.name}). Choose another --dtype.")
        self._metadata = metadata
        self._staged = StagedFile(path, overwrite=overwrite, sync=sync)
        self._zip = ZipWriter(self._staged)
        self._complete = False
        try:
            self._zip.add(f"{_ROOT}data.pkl", dump_state(tensors))
            self._zip.add(f"{_ROOT}byteorder", b"little")
        except BaseException:
            self._staged.close()
            raise

    def write(self, array: Array) -> Location:
        """Append the next array as a storage of its own and read its bytes back."""
        index, _, plain = self._expected.take(array)
        offset = self._zip.add(f"{_ROOT}data/{index}", b"", plain)
        return Location(path=self._staged.path, offset=offset)

    def finish(self) -> PthReader:
        """Append version, metadata and directory, and open the result, still without its final name."""
        self._finish()
        return PthReader(self._staged.path)

    def _finish(self) -> None:
        if not self._complete:
            self._expected.check_complete()
            self._zip.add(f"{_ROOT}version", b"3\n")
            if self._metadata:
                self._zip.add(_ROOT + METADATA_NAME, metadata_bytes(self._metadata))
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
