"""A bundle inside of a .tar.gz, .tgz or .tar file, as the official checkpoints are published.

Nothing is extracted by its name. The data files of a packed archive are unpacked into one temporary file without a
name, which the system removes whatever happens; those of a plain .tar are read where they are.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from converters.errors import FormatError, UnsupportedFile
from converters.formats._bundle.files import (
    DATA_SUFFIX,
    INDEX_SUFFIX,
    MAX_INDEX_BYTES,
    BundleFiles,
    Shard,
    data_name,
)
from converters.formats._bundle.folder import CHECKPOINT, choose, latest_prefix
from converters.formats._bundle.sidecar import SUFFIX
from converters.formats._bundle.tar import Member, Seek, TarStream
from converters.formats._input import Fillable, InputFile
from converters.formats._signatures import GZIP
from converters.formats._temporary import TemporaryData

MAX_EXPANSION = 64
"""How many bytes may come from one packed byte. Trained weights give 1.1, optimiser slots that were never touched
raise it to 3; deflate can reach 1032."""
_SLACK = 16 << 20
"""What a small archive may unpack to in any case, in bytes."""
MAX_TEXT_BYTES = MAX_INDEX_BYTES
"""Of all index files, metadata and `checkpoint` files of an archive together."""


@dataclass(kw_only=True)
class _Contents:
    """What an archive holds, by the full name of the member."""

    texts: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Index files, metadata and `checkpoint` files."""
    data: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Where each data file begins and how many bytes it has."""

    def prefixes(self) -> list[str]:
        return sorted(name.removesuffix(INDEX_SUFFIX) for name in self.texts if name.endswith(INDEX_SUFFIX))

    def latest(self) -> list[str]:
        return [
            name.removesuffix(CHECKPOINT) + latest_prefix(text)
            for name, text in self.texts.items()
            if _last_part(name) == CHECKPOINT
        ]


class ArchiveFiles(BundleFiles):
    """The bundle in an archive. Raises `FormatError` when it is damaged or hostile or there is not one bundle."""

    def __init__(self, path: Path, *, scratch_folder: Path | None) -> None:
        self._path = path
        self._archive = InputFile(path)
        self._temporary: TemporaryData | None = None
        try:
            packed = self._archive.bytes_at(0, min(2, self._archive.size)) == GZIP
            if packed:
                self._temporary = TemporaryData(scratch_folder)
            self._contents = self._scan(packed=packed)
            self.prefix = choose(self._contents.prefixes(), latest=self._contents.latest(), where=str(path))
        except BaseException:
            self.close()
            raise
        self.index_name = f"{path}: {self.prefix}{INDEX_SUFFIX}"
        self.index = self._contents.texts[self.prefix + INDEX_SUFFIX]
        self.sidecar = self._contents.texts.get(self.prefix + SUFFIX)

    def _scan(self, *, packed: bool) -> _Contents:
        limit = self._archive.size
        if packed:
            limit = limit * MAX_EXPANSION + _SLACK
        contents = _Contents()
        with gzip.open(self._path) if packed else self._path.open("rb") as opened:
            stream = cast("BinaryIO", opened)
            tar = TarStream(stream, seek=Seek.BY_READING if packed else Seek.BY_POSITION, limit=limit)
            try:
                for member in tar.members():
                    self._keep(member, tar, contents)
            except (FormatError, UnsupportedFile) as error:
                raise type(error)(f"{self._path}: {error}. Fetch or copy it again.") from error
        return contents

    def _keep(self, member: Member, tar: TarStream, contents: _Contents) -> None:
        name = member.name.removeprefix("./")
        last = _last_part(name)
        if last.startswith("."):
            return  # macOS puts a file ._NAME beside each NAME
        if name in contents.texts or name in contents.data:
            raise FormatError(f"expected one member of the name {name[:200]!r}, found two")
        if last == CHECKPOINT or last.endswith((INDEX_SUFFIX, SUFFIX)):
            if member.nbytes + sum(map(len, contents.texts.values())) > MAX_TEXT_BYTES:
                raise FormatError(f"expected at most {MAX_TEXT_BYTES} bytes of index files, found more")
            contents.texts[name] = b"".join(tar.read(member.nbytes))
        elif DATA_SUFFIX.search(last):
            start = member.offset
            if self._temporary is not None:
                start = self._temporary.append(tar.read(member.nbytes))
            contents.data[name] = (start, member.nbytes)

    def shard(self, number: int, *, count: int) -> Shard:
        """A data file in the archive."""
        name = data_name(self.prefix, number, count)
        if name not in self._contents.data:
            raise FormatError(f"{self.index_name}: expected the data file {name} in the archive, found none.")
        start, nbytes = self._contents.data[name]
        file: Fillable = self._temporary or self._archive
        return Shard(file=file, start=start, nbytes=nbytes, path=None if self._temporary else self._path)

    def close(self) -> None:
        """Close the archive and remove the temporary file."""
        self._archive.close()
        if self._temporary is not None:
            self._temporary.close()


def _last_part(name: str) -> str:
    return name.rsplit("/", 1)[-1]
