"""A zip archive, read with the strictness that untrusted files need. Nothing is ever extracted to a path.

The central directory is the truth; each entry's local header must agree with it, entries must not overlap, and the
CRC-32 of what is read is verified. Source: PKWARE APPNOTE 6.3.10, sections 4.3-4.5.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.aside import WORTH_IT, Aside
from converters.errors import FormatError, UnsupportedFile
from converters.formats._crc32 import crc32, crc32_of_both
from converters.formats._input import InputFile
from converters.formats._zip_directory import Record, read_directory
from converters.formats._zip_records import LOCAL, LOCAL_SIGNATURE
from converters.formats.plain_bytes import PART, PlainBytes

_CHUNK = 1 << 20
# Float weights hardly compress at all; only bombs and large all-zero arrays go beyond this.
_FREE_SIZE = 256 << 20
_LARGEST_RATIO = 32
_ENCRYPTED = 1
_UTF8 = 1 << 11


class Method(IntEnum):
    """How an entry is held."""

    STORED = 0
    DEFLATED = 8


_METHODS = {int(method): method for method in Method}


class Entry(NamedTuple):
    """An entry of a zip archive: `stored` bytes from `offset` in the file hold `size` bytes of content.

    A file has thousands.
    """

    name: str
    method: Method
    crc32: int
    stored: int
    size: int
    offset: int


class EntryChecksum:
    """The CRC-32 of an entry, of parts that come one after the other."""

    def __init__(self, archive: ZipArchive, entry: Entry) -> None:
        self._archive = archive
        self._entry = entry
        self.value = 0

    def add(self, part: NDArray[np.uint8]) -> None:
        """Take the next part into account."""
        self.value = crc32(part.data, self.value)

    def check(self) -> None:
        """Raise `FormatError` unless it is the one in the archive."""
        self._archive.compare(self._entry, self.value)


class _Piece:
    """The CRC-32 of a piece of an entry, handed over when it is whole."""

    def __init__(self, whole: ScatteredChecksum, start: int) -> None:
        self._whole = whole
        self._start = self._end = start
        self._value = 0

    def add(self, part: NDArray[np.uint8]) -> None:
        """Take the next part into account."""
        self._value = crc32(part.data, self._value)
        self._end += len(part)

    def check(self) -> None:
        """Nothing can be said of a piece alone."""
        self._whole.take(self._start, self._end, self._value)


class ScatteredChecksum:
    """The CRC-32 of a stored entry whose pieces are read in any order, by any thread."""

    def __init__(self, archive: ZipArchive, entry: Entry) -> None:
        self._archive = archive
        self._entry = entry
        self._pieces: list[tuple[int, int, int]] = []

    def plain(self, start: int) -> PlainBytes:
        """The bytes of a piece, `start` bytes behind the beginning of the entry."""
        return PlainBytes(self._archive.file, offset=self._entry.offset + start, checksum=_Piece(self, start))

    def take(self, start: int, end: int, value: int) -> None:
        """Take a piece of that CRC-32 into account."""
        self._pieces.append((start, end, value))

    def check(self) -> None:
        """Read what no piece has held, and raise `FormatError` unless the CRC-32 is the one in the archive."""
        value = position = 0
        for start, end, of_piece in sorted([*self._pieces, (self._entry.size, self._entry.size, 0)]):
            if start < position:
                continue  # read twice
            if start > position:
                unread = self._archive.crc32_of(self._entry, position, start)
                value = crc32_of_both(value, unread, start - position)
            value = crc32_of_both(value, of_piece, end - start)
            position = end
        self._archive.compare(self._entry, value)


class ZipArchive:
    """The entries of an open file, checked. Raises `FormatError` or `UnsupportedFile`."""

    def __init__(self, file: InputFile) -> None:
        self.file = file
        records, directory_offset = read_directory(file)
        self.entries: Mapping[str, Entry] = {record.name: self._entry(record) for record in records}
        if len(self.entries) != len(records):
            raise FormatError(f"{file.path}: two entries have the same name: the file is damaged or hostile.")
        self._check_places(records, directory_offset)
        total = sum(entry.size for entry in self.entries.values())
        if total > _FREE_SIZE + _LARGEST_RATIO * file.size:
            raise UnsupportedFile(
                f"{file.path}: {file.size} bytes claim to hold {total}: that is no compression of weights. If you "
                "trust the file, store its entries without compression."
            )

    def _entry(self, record: Record) -> Entry:
        method = _METHODS.get(record.method)
        if record.flags & _ENCRYPTED:
            raise UnsupportedFile(f"{self._where(record)} is encrypted; decrypt it first.")
        if method is None:
            raise UnsupportedFile(
                f"{self._where(record)} is compressed by method {record.method}; only deflate is read."
            )
        if method is Method.STORED and record.stored != record.size:
            raise FormatError(
                f"{self._where(record)} is stored plainly, but with two sizes: {record.stored} and {record.size}."
            )
        return Entry(
            name=record.name,
            method=method,
            crc32=record.crc32,
            stored=record.stored,
            size=record.size,
            offset=self._content_offset(record),
        )

    def _where(self, record: Record) -> str:
        return f"{self.file.path}: {record.name!r}"

    def _content_offset(self, record: Record) -> int:
        header = self.file.bytes_at(record.offset, LOCAL.size + len(record.raw_name))
        signature, _, flags, method, _, _, _, _, _, name_length, extra_length = LOCAL.unpack_from(header)
        same_kind = method == record.method and (flags ^ record.flags) & (_ENCRYPTED | _UTF8) == 0
        same_name = name_length == len(record.raw_name) and header[LOCAL.size :] == record.raw_name
        if signature != LOCAL_SIGNATURE or not same_kind or not same_name:
            raise FormatError(
                f"{self._where(record)}: the entry and the directory of the zip archive contradict each other."
            )
        return record.offset + LOCAL.size + name_length + extra_length

    def _check_places(self, records: list[Record], directory_offset: int) -> None:
        free = 0
        for record in sorted(records, key=lambda record: record.offset):
            entry = self.entries[record.name]
            end = entry.offset + entry.stored
            if record.offset < free or end > directory_offset:
                raise FormatError(f"{self.file.path}: {record.name!r} overlaps another part of the zip archive.")
            free = end

    def content(self, entry: Entry, *, limit: int) -> bytes:
        """The whole content of a small entry, verified."""
        if entry.size > limit:
            raise UnsupportedFile(
                f"{self.file.path}: {entry.name!r} has {entry.size} bytes; at most {limit} are read here."
            )
        buffer = np.empty(entry.size, dtype=np.uint8)
        self.fill(entry, buffer)
        return buffer.tobytes()

    def start(self, entry: Entry, count: int) -> bytes:
        """The first `count` bytes of an entry, or all where it is shorter, not verified."""
        if entry.method is Method.STORED:
            return self.file.bytes_at(entry.offset, min(count, entry.size))
        # A stream that is mostly empty blocks, as no compressor makes it, ends too early here and is refused.
        packed = self.file.bytes_at(entry.offset, min(2 * count + 1024, entry.stored))
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, count)
        except zlib.error as error:
            raise self._damaged(entry, str(error)) from error

    def fill(self, entry: Entry, buffer: NDArray[np.uint8]) -> None:
        """Read the whole content into a buffer of exactly its size. Raises `FormatError` if the CRC-32 differs."""
        if entry.method is Method.DEFLATED:
            self._inflate(entry, buffer)
            self.compare(entry, crc32(buffer.data))
            return
        checksum = EntryChecksum(self, entry)
        for start in range(0, entry.size, PART):
            self._take(buffer[start : start + PART], entry, start, checksum)
        checksum.check()

    def verify(self, entry: Entry) -> None:
        """Compare the CRC-32 of a stored entry without keeping it. Raises `FormatError` if it differs.

        Where there are two cores, each reads a half of a large one.
        """
        middle = entry.size // 2 if entry.size >= 2 * WORTH_IT else entry.size
        halves = [0, 0]

        def second() -> None:
            halves[1] = self.crc32_of(entry, middle, entry.size)

        with Aside() as aside:
            if middle < entry.size:
                aside.run(second)
            halves[0] = self.crc32_of(entry, 0, middle)
            aside.wait()
        self.compare(entry, crc32_of_both(halves[0], halves[1], entry.size - middle))

    def crc32_of(self, entry: Entry, start: int, end: int) -> int:
        """The CRC-32 of a part of a stored entry."""
        checksum = EntryChecksum(self, entry)
        room = np.empty(min(PART, end - start), dtype=np.uint8)
        for position in range(start, end, PART):
            self._take(room[: end - position], entry, position, checksum)
        return checksum.value

    def _take(self, part: NDArray[np.uint8], entry: Entry, start: int, checksum: EntryChecksum) -> None:
        self.file.fill(part, offset=entry.offset + start)
        checksum.add(part)

    def compare(self, entry: Entry, found: int) -> None:
        """Raise `FormatError` unless the CRC-32 of an entry is the one that was found."""
        if found != entry.crc32:
            raise self._damaged(entry, f"expected the CRC-32 {entry.crc32:08x}, found {found:08x}")

    def plain(self, entry: Entry, *, before: int = 0) -> PlainBytes | None:
        """The bytes of a stored entry behind the first `before`; None for a packed one."""
        if entry.method is not Method.STORED:
            return None
        checksum = EntryChecksum(self, entry)
        if before:
            checksum.add(np.frombuffer(self.file.bytes_at(entry.offset, before), dtype=np.uint8))
        return PlainBytes(self.file, offset=entry.offset + before, checksum=checksum)

    def _damaged(self, entry: Entry, reason: str) -> FormatError:
        return FormatError(
            f"{self.file.path}: {entry.name!r} is damaged ({reason}). Fetch or copy the file again, or save it again."
        )

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The content of a packed entry, a part at a time; raises `FormatError` at its end if the CRC-32 differs."""
        crc = 0
        for chunk in self._inflated(entry):
            crc = crc32(chunk, crc)
            yield chunk
        self.compare(entry, crc)

    def _inflate(self, entry: Entry, buffer: NDArray[Any]) -> None:
        done = 0
        for chunk in self._inflated(entry):
            buffer[done : done + len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
            done += len(chunk)

    def _inflated(self, entry: Entry) -> Iterator[bytes]:
        """Exactly `entry.size` bytes, in parts."""
        machine = zlib.decompressobj(-zlib.MAX_WBITS)
        packed, taken, done = b"", 0, 0
        while not machine.eof:
            if not packed and taken < entry.stored:
                packed = self.file.bytes_at(entry.offset + taken, min(_CHUNK, entry.stored - taken))
                taken += len(packed)
            try:
                plain = machine.decompress(packed, _CHUNK)
            except zlib.error as error:
                raise self._damaged(entry, str(error)) from error
            packed = machine.unconsumed_tail
            if done + len(plain) > entry.size:
                raise self._damaged(entry, f"it holds more than the {entry.size} bytes that it promises")
            if not plain and not packed and taken == entry.stored and not machine.eof:
                raise self._damaged(entry, "its compressed data has no end")
            done += len(plain)
            yield plain
        if done != entry.size or taken != entry.stored or machine.unused_data:
            raise self._damaged(entry, f"it promises {entry.size} bytes and holds {done}")
