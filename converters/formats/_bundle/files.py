"""The files of a bundle: one index, data files, perhaps metadata beside them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.errors import FormatError, UnsupportedFile
from converters.formats._bundle.sidecar import MAX_SIDECAR_BYTES, SUFFIX
from converters.formats._input import Fillable, InputFile

INDEX_SUFFIX = ".index"
DATA_SUFFIX = re.compile(r"\.data-\d{5}-of-\d{5}$")
MAX_INDEX_BYTES = 32 << 20


def data_name(prefix: str, shard: int, count: int) -> str:
    """Name of a data file."""
    return f"{prefix}.data-{shard:05d}-of-{count:05d}"


def sibling(prefix: Path, suffix: str) -> Path:
    """`PREFIX` with something appended; a suffix that it has, such as the step in `model.ckpt-3`, stays."""
    return prefix.with_name(prefix.name + suffix)


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A data file, or the part of a file that is one."""

    file: Fillable
    start: int
    """Where it begins in `file`, in bytes."""
    nbytes: int
    path: Path | None
    """The file, None when it has no name."""


class BundleFiles(ABC):
    """The files of one bundle, open until `close`."""

    index: bytes
    """The whole index file."""
    index_name: str
    """Path of the index, for messages."""
    prefix: str
    """Path of the bundle, without any suffix; the name in the archive when it is in one."""
    sidecar: bytes | None = None
    """The file with metadata, None when there is none."""

    @abstractmethod
    def shard(self, number: int, *, count: int) -> Shard:
        """Open a data file. Raises `FormatError` when it is missing."""

    @abstractmethod
    def close(self) -> None:
        """Release the files."""


@dataclass(frozen=True, kw_only=True)
class BundlePaths:
    """Where the files of a bundle are, one by one: staged files have other paths than their names say."""

    index: Path
    shards: Sequence[Path]
    sidecar: Path


class PlainFiles(BundleFiles):
    """Files in a folder. Raises `UnreadableFile` when there is no index, `UnsupportedFile` for one too large."""

    def __init__(self, prefix: Path, *, paths: BundlePaths | None = None) -> None:
        self.prefix = str(prefix)
        self._prefix = prefix
        self._shards = paths.shards if paths else None
        self._open: list[InputFile] = []
        index = paths.index if paths else sibling(prefix, INDEX_SUFFIX)
        self.index_name = str(index)
        self.index = _read_whole(index, limit=MAX_INDEX_BYTES)
        sidecar = paths.sidecar if paths else sibling(prefix, SUFFIX)
        if sidecar.exists():
            self.sidecar = _read_whole(sidecar, limit=MAX_SIDECAR_BYTES)

    def shard(self, number: int, *, count: int) -> Shard:
        """Open a data file."""
        path = self._path(number, count)
        if not path.exists():
            raise FormatError(
                f"{self.index_name}: expected its data file {path.name} (number {number} of {count}) beside it, found "
                "none. Copy every file whose name begins alike."
            )
        file = InputFile(path)
        self._open.append(file)
        return Shard(file=file, start=0, nbytes=file.size, path=path)

    def _path(self, number: int, count: int) -> Path:
        if self._shards is None:
            return self._prefix.with_name(data_name(self._prefix.name, number, count))
        if len(self._shards) != count:
            raise FormatError(f"{self.index_name}: expected {count} data files, {len(self._shards)} were given.")
        return self._shards[number]

    def close(self) -> None:
        """Close every data file."""
        for file in self._open:
            file.close()
        self._open.clear()


def read_at_most(path: Path, limit: int) -> bytes:
    """The first bytes of a file. Raises `UnreadableFile` when it cannot be opened."""
    file = InputFile(path)
    try:
        return file.bytes_at(0, min(limit, file.size))
    finally:
        file.close()


def _read_whole(path: Path, *, limit: int) -> bytes:
    content = read_at_most(path, limit + 1)
    if len(content) > limit:
        raise UnsupportedFile(f"{path}: expected at most {limit} bytes, found more: no ordinary TensorFlow checkpoint.")
    return content
