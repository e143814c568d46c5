"""Reads a bundle: index and data files together."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.errors import FormatError, UnsupportedFile
from converters.formats._arrays import view
from converters.formats._bundle.checksum import crc32c
from converters.formats._bundle.dtypes import STRING
from converters.formats._bundle.files import INDEX_SUFFIX, BundleFiles, PlainFiles, Shard, read_at_most
from converters.formats._bundle.folder import find_prefix, is_file
from converters.formats._bundle.index import GRAPH_KEY, BundleIndex, Part, parse_index
from converters.formats._bundle.messages import BundleEntry, Endianness
from converters.formats._bundle.sidecar import SUFFIX, parse_sidecar
from converters.formats._bundle.strings import MAX_STRING_BYTES, MAX_STRINGS, parse_strings
from converters.formats._bundle.table import masked
from converters.formats._signatures import GZIP, is_tar
from converters.formats._zip_records import LOCAL_SIGNATURE
from converters.formats.base import NO_METADATA, Array, Location, Reader, Scratch, TensorInfo
from converters.formats.plain_bytes import PlainBytes

FORMAT = "tensor-bundle"
_HEAD = 512
"""Bytes that tell an archive."""


class TensorBundleReader(Reader):
    """An open bundle: a prefix, its `.index` or a data file, a folder, or an archive with one.

    Archives are `.tar.gz`, `.tgz`, `.tar` and `.zip`.

    Every block of the index is checked when it is opened, every tensor when it is read. Partitioned tensors are
    joined. The data in a packed archive is unpacked into a temporary file in `scratch_folder` (default: the
    system's), which has no name and so never stays. Memory: the index, the largest array, and once more as much for
    a partitioned one.
    """

    format = FORMAT

    def __init__(self, path: Path, *, scratch_folder: Path | None = None, files: BundleFiles | None = None) -> None:
        """`files` are those to read when their paths do not follow from `path`; they are closed with the reader."""
        self.path = path
        self._files = files or _open_files(path, scratch_folder)
        self._scratch, self._joined = Scratch(), Scratch()
        try:
            with self._naming_the_index():
                self._index = parse_index(self._files.index)
            self._shards = self._open_shards(self._index)
            notes = self._take_names_from_graph()
            self.metadata = self._read_metadata()
        except BaseException:
            self._files.close()
            raise
        self.prefix = self._files.prefix
        if str(self.prefix) != str(path).removesuffix(INDEX_SUFFIX):
            notes = (f"The checkpoint is {self.prefix}.", *notes)
        self.notes = notes
        self.tensors = self._index.tensors
        self.skipped = self._index.skipped

    @contextmanager
    def _naming_the_index(self) -> Generator[None]:
        try:
            yield
        except FormatError as error:
            reason = str(error).rstrip(".")
            raise FormatError(f"{self._files.index_name}: {reason}. Fetch or copy the checkpoint again.") from error
        except UnsupportedFile as error:
            raise UnsupportedFile(f"{self._files.index_name}: {str(error).rstrip('.')}.") from error

    def _open_shards(self, index: BundleIndex) -> Mapping[int, Shard]:
        numbers = sorted({entry.shard for _, entry in index.pieces()})
        shards = {number: self._files.shard(number, count=index.header.shards) for number in numbers}
        with self._naming_the_index():
            index.check_places({number: shard.nbytes for number, shard in shards.items()})
        return shards

    def _take_names_from_graph(self) -> tuple[str, ...]:
        """Name variables as their program did where the keys only number them; says so in sentences."""
        self.skipped = self._index.skipped
        if GRAPH_KEY not in self.skipped:
            return ()
        # Most checkpoints have none.
        from converters.formats._bundle.object_graph import read_object_graph  # noqa: PLC0415 - of few files
        from converters.formats._bundle.object_names import are_numbered, unescaped, with_names  # noqa: PLC0415 - as above

        if not are_numbered(self._index.tensors):
            self._index = unescaped(self._index)
            return ()
        if (texts := self.read_strings(GRAPH_KEY)) and len(texts) == 1:
            try:
                graph = read_object_graph(texts[0])
            except FormatError as error:
                raise FormatError(f"{self.path}: {GRAPH_KEY}: {error}. Fetch or copy the checkpoint again.") from error
            named = with_names(self._index, graph)
            self._index = named.index
            return named.notes
        raise FormatError(f"{self.path}: expected one object graph in {GRAPH_KEY}, found {len(texts)}.")

    def _read_metadata(self) -> Mapping[str, str]:
        if self._files.sidecar is None:
            return NO_METADATA
        try:
            return parse_sidecar(self._files.sidecar, index=self._files.index)
        except FormatError as error:
            name = f"{self._files.prefix}{SUFFIX}"
            raise FormatError(f"{name}: {error}. Remove it: the weights can be read without it.") from error

    def read(self, name: str) -> Array:
        """The array; it is valid until the next `read` or `close`."""
        info, parts = self.tensors[name], self._index.parts[name]
        if len(parts) == 1 and parts[0].entry.shape == info.shape:
            return self._read_part(info, parts[0])
        joined = self._joined.take(info.nbytes).view(info.dtype).reshape(info.shape)
        for part in parts:
            region = tuple(slice(a, a + n) for a, n in zip(part.start, part.entry.shape, strict=True))
            joined[region] = self._read_part(info, part)
        joined.flags.writeable = False
        return joined

    def _read_part(self, info: TensorInfo, part: Part) -> Array:
        buffer = self._read_bytes(info.name, part.entry)
        if info.dtype == np.bool_ and buffer.size and buffer.max() > 1:
            raise FormatError(f"{info.name}: expected truth values 0 and 1, found {buffer.max()}. The file is damaged.")
        if self._index.header.endianness is Endianness.BIG:
            _swap_bytes(buffer, info.dtype)
        return view(buffer, info.dtype, part.entry.shape)

    def _read_bytes(self, name: str, entry: BundleEntry) -> NDArray[np.uint8]:
        """The bytes as they are in the file, when their checksum matches."""
        buffer = self._fill(entry)
        checksum = _TensorChecksum(self.path, name, entry)
        checksum.add(buffer)
        checksum.check()
        return buffer

    def _fill(self, entry: BundleEntry) -> NDArray[np.uint8]:
        shard = self._shards[entry.shard]
        buffer = self._scratch.take(entry.size)
        shard.file.fill(buffer, offset=shard.start + entry.offset)
        return buffer

    def read_strings(self, name: str) -> list[bytes]:
        """The texts of a string tensor, which `skipped` lists, in C order.

        Raises `KeyError` for an unknown name, `FormatError` when checksums do not match, `UnsupportedFile` when it is
        no string tensor in one piece or too large (64 MiB, 2**20 strings).
        """
        reason = self.skipped[name]
        entry = self._index.others.get(name)
        if entry is None or entry.dtype != STRING:
            raise UnsupportedFile(f"{self.path}: expected strings in one piece in {name}, found: {reason}.")
        if entry.size > MAX_STRING_BYTES or prod(entry.shape) > MAX_STRINGS:
            raise UnsupportedFile(
                f"{self.path}: {name} holds {prod(entry.shape)} strings in {entry.size} bytes; at most {MAX_STRINGS} "
                f"in {MAX_STRING_BYTES} bytes are read."
            )
        if self._index.header.endianness is Endianness.BIG:
            raise UnsupportedFile(f"{self.path}: strings of a checkpoint from a big-endian machine are not read.")
        data = self._fill(entry).tobytes()
        try:
            return parse_strings(data, count=prod(entry.shape), masked_crc32c=entry.masked_crc32c)
        except FormatError as error:
            raise FormatError(f"{self.path}: {name}: {error}. Fetch or copy the checkpoint again.") from error

    def plain(self, name: str) -> PlainBytes | None:
        """The bytes of the array; None when partitioned, truth values, or from a big-endian machine."""
        info, parts = self.tensors[name], self._index.parts[name]
        entry = parts[0].entry
        little = self._index.header.endianness is Endianness.LITTLE
        if len(parts) > 1 or entry.shape != info.shape or info.dtype == np.bool_ or not little:
            return None
        shard = self._shards[entry.shard]
        return PlainBytes(
            shard.file, offset=shard.start + entry.offset, checksum=_TensorChecksum(self.path, name, entry)
        )

    def location(self, name: str) -> Location | None:
        """Where the plain bytes of the array are, None when partitioned, packed, or from a big-endian machine."""
        info, parts = self.tensors[name], self._index.parts[name]
        entry = parts[0].entry
        shard = self._shards[entry.shard]
        plain = len(parts) == 1 and self._index.header.endianness is Endianness.LITTLE
        if not plain or shard.path is None or entry.shape != info.shape:
            return None
        return Location(path=shard.path, offset=shard.start + entry.offset)

    def close(self) -> None:
        """Close the files; a temporary one is gone with that."""
        self._files.close()


class _TensorChecksum:
    """The CRC32C of a tensor, of parts that come one after the other."""

    def __init__(self, path: Path, name: str, entry: BundleEntry) -> None:
        self._path, self._name = path, name
        self._expected = entry.masked_crc32c
        self._value = 0

    def add(self, part: NDArray[np.uint8]) -> None:
        """Take the next part into account."""
        self._value = crc32c(part, self._value)

    def check(self) -> None:
        """Raise `FormatError` unless it is the one in the index."""
        if (found := masked(self._value)) != self._expected:
            raise FormatError(
                f"{self._path}: the data of {self._name} has checksum {found:#010x}, expected {self._expected:#010x}: "
                "it is damaged, or index and data belong to different checkpoints. Fetch or copy both again."
            )


def _open_files(path: Path, scratch_folder: Path | None) -> BundleFiles:
    head = read_at_most(path, _HEAD) if is_file(path) else b""
    if head.startswith(GZIP) or is_tar(head):
        from converters.formats._bundle.archive import ArchiveFiles  # noqa: PLC0415 - for packed checkpoints only

        return ArchiveFiles(path, scratch_folder=scratch_folder)
    if head.startswith(LOCAL_SIGNATURE):
        from converters.formats._bundle.zip_files import ZipFiles  # noqa: PLC0415 - as above

        return ZipFiles(path, scratch_folder=scratch_folder)
    return PlainFiles(find_prefix(path))


def _swap_bytes(buffer: NDArray[np.uint8], dtype: np.dtype[Any]) -> None:
    """Turn big-endian elements into little-endian ones where they are; both halves of a complex one."""
    width = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    buffer.view(f"u{width}").byteswap(inplace=True)
