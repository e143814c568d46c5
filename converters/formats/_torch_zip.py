"""PyTorch's zip format: one record with a pickle, one for each storage."""

from __future__ import annotations

from math import prod

import numpy as np

from converters.errors import FormatError, UnsupportedFile
from converters.formats._arrays import view
from converters.formats._input import InputFile
from converters.formats._metadata import METADATA_NAME, read_metadata
from converters.formats._pickle_reader import load_state
from converters.formats._state_dict import find_state_dict
from converters.formats._torch_types import Storage, TensorView
from converters.formats._zip import Entry, Method, ZipArchive
from converters.formats.base import Array, Scratch
from converters.formats.plain_bytes import PlainBytes

_PICKLE = "data.pkl"
_LARGEST_PICKLE = 64 << 20
# Tensors may share storages, and expanded ones are larger than theirs; beyond this it is an attack.
_FREE_SIZE = 64 << 20
_LARGEST_SHARING = 4


class TorchArchive:
    """An open archive: its state dict as views over its records. Raises `FormatError` or `UnsupportedFile`."""

    def __init__(self, file: InputFile) -> None:
        self._file = file
        self._zip = ZipArchive(file)
        self._prefix = self._find_prefix()
        # torch.serialization.set_crc32_options(False) leaves every checksum zero: then there is nothing to verify.
        self._checksummed = any(entry.crc32 for entry in self._zip.entries.values())
        self._verified: set[str] = set()
        self._scratch, self._ordered = Scratch(), Scratch()
        self._swapped = self._read_byte_order()
        root = load_state(self._content(_PICKLE, limit=_LARGEST_PICKLE), where=str(file.path))
        state = find_state_dict(root, TensorView, path=file.path)
        self.views, self.skipped = state.tensors, state.skipped
        self.metadata = {**state.texts, **read_metadata(self._zip, self._prefix + METADATA_NAME)}
        self._entries = {name: self._record(name, found.storage) for name, found in self.views.items()}
        total = sum(prod(found.shape) * found.dtype.itemsize for found in self.views.values())
        if total > _FREE_SIZE + _LARGEST_SHARING * file.size:
            raise UnsupportedFile(
                f"{file.path}: the tensors unfold to {total} bytes from a file of {file.size}. If you trust the file, "
                "save `tensor.contiguous()` of each."
            )

    def _find_prefix(self) -> str:
        found = [name for name in self._zip.entries if name == _PICKLE or name.endswith(f"/{_PICKLE}")]
        if len(found) != 1:
            raise FormatError(f"{self._file.path}: expected one record {_PICKLE}, found {len(found)}: no PyTorch file.")
        prefix = found[0].removesuffix(_PICKLE)
        if f"{prefix}constants.pkl" in self._zip.entries:
            raise UnsupportedFile(
                f"{self._file.path} is a TorchScript program, not a state dict. Load it with torch.jit.load and save "
                "its `state_dict()` with torch.save."
            )
        return prefix

    def _content(self, name: str, *, limit: int) -> bytes:
        entry = self._plain(self._zip.entries[self._prefix + name])
        if self._checksummed:
            return self._zip.content(entry, limit=limit)
        return self._file.bytes_at(entry.offset, min(entry.size, limit))

    def _read_byte_order(self) -> bool:
        if f"{self._prefix}byteorder" not in self._zip.entries:
            return False
        found = self._content("byteorder", limit=1024)
        if found not in (b"little", b"big"):
            raise FormatError(f"{self._file.path}: expected the byte order little or big, found {found[:16]!r}.")
        return found == b"big"

    def _plain(self, entry: Entry) -> Entry:
        if entry.method is not Method.STORED:
            raise UnsupportedFile(
                f"{self._file.path}: {entry.name!r} is compressed; PyTorch stores records plainly. Unzip the "
                "file and zip it again with `zip -0 -r`."
            )
        return entry

    def _record(self, name: str, storage: Storage) -> Entry:
        entry = self._zip.entries.get(f"{self._prefix}data/{storage.key}")
        if entry is None:
            raise FormatError(
                f"{self._file.path}: {name!r} lies in the storage {storage.key[:40]!r}, which is missing."
            )
        if entry.size != storage.nbytes:
            raise FormatError(
                f"{self._file.path}: the storage of {name!r} needs {storage.nbytes} bytes, its record has {entry.size}."
            )
        return self._plain(entry)

    def read(self, name: str) -> Array:
        """The array, read-only, C order, little-endian; it is valid until the next `read`."""
        found, entry = self.views[name], self._entries[name]
        size = found.dtype.itemsize
        buffer = self._scratch.take(found.span * size)
        if buffer.nbytes == entry.size and self._checksummed:
            self._zip.fill(entry, buffer)
        else:
            self._verify(entry)
            self._file.fill(buffer, offset=entry.offset + found.offset * size)
        if self._swapped:
            buffer.view(found.dtype).byteswap(inplace=True)
        if found.contiguous:
            return view(buffer, found.dtype, found.shape)
        plain = self._ordered.take(prod(found.shape) * size)
        # NumPy checks the strides against the buffer once more.
        strided = np.ndarray(
            found.shape, found.dtype, buffer=buffer.data, strides=[stride * size for stride in found.strides]
        )
        np.copyto(plain.view(found.dtype).reshape(found.shape), strided)
        return view(plain, found.dtype, found.shape)

    def plain(self, name: str) -> PlainBytes | None:
        """The bytes of the array; None where they are a part of a storage, scattered or byte-swapped."""
        found, entry = self.views[name], self._entries[name]
        if self._swapped or not found.contiguous or found.span * found.dtype.itemsize != entry.size:
            return None
        return self._zip.plain(entry) if self._checksummed else PlainBytes(self._file, offset=entry.offset)

    def _verify(self, entry: Entry) -> None:
        if self._checksummed and entry.name not in self._verified:
            self._zip.verify(entry)
            self._verified.add(entry.name)

    def offset(self, name: str) -> int | None:
        """Where the plain bytes of the array start in the file; None where they are scattered or byte-swapped."""
        found = self.views[name]
        if self._swapped or not found.contiguous:
            return None
        return self._entries[name].offset + found.offset * found.dtype.itemsize
