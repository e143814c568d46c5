"""The central directory of a zip archive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from converters.errors import FormatError, UnsupportedFile
from converters.formats._input import InputFile
from converters.formats._zip_records import (
    ALL_ONES_16,
    ALL_ONES_32,
    CENTRAL,
    CENTRAL_SIGNATURE,
    END,
    END64,
    END64_SIGNATURE,
    END_SIGNATURE,
    EXTRA,
    EXTRA64,
    LOCATOR64,
    LOCATOR64_SIGNATURE,
)

_LONGEST_COMMENT = 0xFFFF
_LARGEST_DIRECTORY = 64 << 20
_UTF8 = 1 << 11


class Record(NamedTuple):
    """What the directory says about an entry, as it stands there; `offset` is that of the local header.

    A file has thousands.
    """

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc32: int
    stored: int
    size: int
    offset: int


class _Directory(NamedTuple):
    """Where the directory is, how many records it has, and what it must end at."""

    offset: int
    size: int
    entries: int
    end: int


def read_directory(file: InputFile) -> tuple[list[Record], int]:
    """All records in their order, and where the directory starts. Raises `FormatError` or `UnsupportedFile`."""
    directory = _locate(file)
    return list(_records(file, directory)), directory.offset


def names_in(file: InputFile) -> Iterator[str]:
    """The name of each record, in their order. Raises `FormatError` or `UnsupportedFile`."""
    return (record.name for record in _records(file, _locate(file)))


def _records(file: InputFile, directory: _Directory) -> Iterator[Record]:
    if directory.size > _LARGEST_DIRECTORY:
        raise UnsupportedFile(f"{file.path}: a zip directory of {directory.size} bytes; at most {_LARGEST_DIRECTORY}.")
    if directory.offset + directory.size != directory.end:
        raise _damaged(file, "the directory is not where the end of the archive says")
    data = file.bytes_at(directory.offset, directory.size)
    count = position = 0
    while position < len(data):
        record, position = _parse(file, data, position)
        count += 1
        yield record
    if count != directory.entries:
        raise _damaged(file, f"expected {directory.entries} entries, found {count}")


def _damaged(file: InputFile, reason: str) -> FormatError:
    return FormatError(f"{file.path}: no sound zip archive: {reason}. It is truncated or damaged; fetch it again.")


def _locate(file: InputFile) -> _Directory:
    tail_start = max(0, file.size - END.size - _LONGEST_COMMENT)
    tail = file.bytes_at(tail_start, file.size - tail_start)
    at = tail.rfind(END_SIGNATURE)
    if at < 0 or at + END.size > len(tail):
        raise _damaged(file, "the record that ends every zip archive is missing")
    _, disk, directory_disk, here, count, size, offset, comment_length = END.unpack_from(tail, at)
    if at + END.size + comment_length != len(tail):
        raise _damaged(file, "something follows its end")
    start = tail_start + at
    large = _locate64(file, start)
    if large is not None:
        return large
    if disk or directory_disk or here != count:
        raise UnsupportedFile(f"{file.path}: a zip archive in several parts; join them first.")
    return _Directory(offset=offset, size=size, entries=count, end=start)


def _locate64(file: InputFile, end: int) -> _Directory | None:
    if end < LOCATOR64.size + END64.size:
        return None
    signature, _, offset64, _ = LOCATOR64.unpack(file.bytes_at(end - LOCATOR64.size, LOCATOR64.size))
    if signature != LOCATOR64_SIGNATURE:
        return None
    if offset64 + END64.size > end - LOCATOR64.size:
        raise _damaged(file, "the 64-bit end record is out of bounds")
    signature, _, _, _, disk, directory_disk, here, count, size, offset = END64.unpack(
        file.bytes_at(offset64, END64.size)
    )
    if signature != END64_SIGNATURE:
        raise _damaged(file, "the 64-bit end record is missing")
    if disk or directory_disk or here != count:
        raise UnsupportedFile(f"{file.path}: a zip archive in several parts; join them first.")
    return _Directory(offset=offset, size=size, entries=count, end=offset64)


def _parse(file: InputFile, data: bytes, position: int) -> tuple[Record, int]:
    name_start = position + CENTRAL.size
    if name_start > len(data) or not data.startswith(CENTRAL_SIGNATURE, position):
        raise _damaged(file, "an entry of its directory is broken")
    _, _, _, flags, method, _, _, crc32, stored, size, *rest = CENTRAL.unpack_from(data, position)
    name_length, extra_length, comment_length, disk, _, _, offset = rest
    name_end = name_start + name_length
    extra_end = name_end + extra_length
    if extra_end + comment_length > len(data) or disk not in (0, ALL_ONES_16):
        raise _damaged(file, "an entry of its directory is broken")
    raw_name = data[name_start:name_end]
    if ALL_ONES_32 in (size, stored, offset):
        size, stored, offset = _wide(file, (size, stored, offset), data[name_end:extra_end])
    record = Record(
        name=_decoded(file, raw_name, flags),
        raw_name=raw_name,
        flags=flags,
        method=method,
        crc32=crc32,
        stored=stored,
        size=size,
        offset=offset,
    )
    return record, extra_end + comment_length


def _decoded(file: InputFile, raw_name: bytes, flags: int) -> str:
    try:
        # Code page 437 has those of ASCII where they are, and is much slower to decode.
        name = raw_name.decode("utf-8" if flags & _UTF8 or raw_name.isascii() else "cp437")
    except UnicodeDecodeError as error:
        raise _damaged(file, f"the name {raw_name[:40]!r} is no UTF-8") from error
    if not name or "\0" in name:
        raise _damaged(file, f"the name {name[:40]!r} is not allowed")
    return name


def _wide(file: InputFile, values: tuple[int, int, int], extra: bytes) -> tuple[int, int, int]:
    """Replace the values that are all ones by those of the 64-bit extra field."""
    field = _extra64(extra)
    found: list[int] = []
    for value in values:
        if value == ALL_ONES_32:
            if len(field) < 8:
                raise _damaged(file, "a 64-bit size or offset is missing")
            value, field = int.from_bytes(field[:8], "little"), field[8:]  # noqa: PLW2901 - the value itself is meant
        found.append(value)
    return found[0], found[1], found[2]


def _extra64(extra: bytes) -> bytes:
    while len(extra) >= EXTRA.size:
        kind, length = EXTRA.unpack_from(extra)
        if kind == EXTRA64:
            return extra[EXTRA.size : EXTRA.size + length]
        extra = extra[EXTRA.size + length :]
    return b""
