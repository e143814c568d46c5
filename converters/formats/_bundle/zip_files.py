"""A bundle inside of a zip archive, as people pack a SavedModel.

Data that is stored plainly is read where it is; packed data goes into one temporary file without a name, which the
system removes whatever happens.
"""

from __future__ import annotations

from pathlib import Path

from converters.errors import FormatError
from converters.formats._bundle.files import (
    INDEX_SUFFIX,
    MAX_INDEX_BYTES,
    BundleFiles,
    Fillable,
    Shard,
    data_name,
)
from converters.formats._bundle.folder import choose
from converters.formats._bundle.sidecar import MAX_SIDECAR_BYTES, SUFFIX
from converters.formats._input import InputFile
from converters.formats._temporary import TemporaryData
from converters.formats._zip import Entry, Method, ZipArchive


class ZipFiles(BundleFiles):
    """The bundle in a zip archive. Raises `FormatError` when it is damaged or there is not one bundle."""

    def __init__(self, path: Path, *, scratch_folder: Path | None) -> None:
        self._path = path
        self._file = InputFile(path)
        self._scratch_folder = scratch_folder
        self._temporary: list[TemporaryData] = []
        try:
            self._archive = ZipArchive(self._file)
            entries = self._archive.entries
            names = [name for name in entries if not name.rsplit("/", 1)[-1].startswith(".")]
            prefixes = sorted(name.removesuffix(INDEX_SUFFIX) for name in names if name.endswith(INDEX_SUFFIX))
            self.prefix = choose(prefixes, latest=(), where=str(path))
            self.index_name = f"{path}: {self.prefix}{INDEX_SUFFIX}"
            self.index = self._archive.content(entries[self.prefix + INDEX_SUFFIX], limit=MAX_INDEX_BYTES)
            if self.prefix + SUFFIX in entries:
                self.sidecar = self._archive.content(entries[self.prefix + SUFFIX], limit=MAX_SIDECAR_BYTES)
        except BaseException:
            self.close()
            raise

    def shard(self, number: int, *, count: int) -> Shard:
        """A data file in the archive."""
        name = data_name(self.prefix, number, count)
        entry = self._archive.entries.get(name)
        if entry is None:
            raise FormatError(f"{self.index_name}: expected the data file {name} in the archive, found none.")
        if entry.method is Method.STORED:
            return Shard(file=self._file, start=entry.offset, nbytes=entry.size, path=self._path)
        return Shard(file=self._unpacked(entry), start=0, nbytes=entry.size, path=None)

    def _unpacked(self, entry: Entry) -> Fillable:
        data = TemporaryData(self._scratch_folder)
        self._temporary.append(data)
        data.append(self._archive.chunks(entry))
        return data

    def close(self) -> None:
        """Close the archive and remove the temporary files."""
        self._file.close()
        for data in self._temporary:
            data.close()
        self._temporary.clear()
