"""A zip archive, written: entries stored plainly, their content aligned, 64-bit sizes and offsets where needed."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from converters.errors import OutputError
from converters.formats._crc32 import crc32
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
    LOCAL,
    LOCAL_SIGNATURE,
    LOCATOR64,
    LOCATOR64_SIGNATURE,
)
from converters.formats.staging import StagedFile

# PyTorch and mmap want storages on cache lines; torch names this extra field "FB" and fills it with "Z".
ALIGNMENT = 64
_PADDING = 0x4246
# Values from here on move to 64-bit fields.
LARGEST_32 = ALL_ONES_32
_UTF8 = 1 << 11
_VERSION, _VERSION64 = 20, 45
# 1980-01-01, the first day that the format can express: equal content gives equal files.
_DATE = 1 << 5 | 1


class ZipWriter:
    """Appends entries to a staged file."""

    def __init__(self, staged: StagedFile) -> None:
        self._staged = staged
        self._directory: list[bytes] = []

    def add(self, name: str, head: bytes, data: NDArray[Any] | None = None) -> int:
        """Append an entry whose content is `head`, then `data`; gives the offset of the content."""
        raw_name = self._encoded(name)
        size = len(head) + (0 if data is None else data.nbytes)
        crc = crc32(head)
        if data is not None:
            crc = crc32(data.reshape(-1).view("u1").data, crc)
        flags = 0 if name.isascii() else _UTF8
        offset = self._staged.position
        extra, field = b"", size
        if size >= LARGEST_32:
            extra, field = EXTRA.pack(EXTRA64, 16) + 2 * size.to_bytes(8, "little"), ALL_ONES_32
        version = _VERSION64 if extra else _VERSION
        extra += _padding(offset + LOCAL.size + len(raw_name) + len(extra))
        local = LOCAL.pack(LOCAL_SIGNATURE, version, flags, 0, 0, _DATE, crc, field, field, len(raw_name), len(extra))
        content = offset + len(local) + len(raw_name) + len(extra)
        self._staged.write(local + raw_name + extra + head)
        if data is not None:
            self._staged.write(data)
        self._directory.append(_central(raw_name, flags, crc, size, offset))
        return content

    def _encoded(self, name: str) -> bytes:
        try:
            raw_name = name.encode()
        except UnicodeEncodeError:
            raw_name = b""
        if not 0 < len(raw_name) <= ALL_ONES_16 or b"\0" in raw_name:
            raise OutputError(f"{self._staged.target}: a zip entry cannot have the name {name[:80]!r}.")
        return raw_name

    def finish(self) -> None:
        """Append the directory."""
        offset, count = self._staged.position, len(self._directory)
        directory = b"".join(self._directory)
        size, end = len(directory), offset + len(directory)
        tail = b""
        if max(offset, size) >= LARGEST_32 or count >= ALL_ONES_16:
            tail = END64.pack(
                END64_SIGNATURE, END64.size - 12, _VERSION64, _VERSION64, 0, 0, count, count, size, offset
            ) + LOCATOR64.pack(LOCATOR64_SIGNATURE, 0, end, 1)
            offset, size, count = ALL_ONES_32, ALL_ONES_32, ALL_ONES_16
        tail += END.pack(END_SIGNATURE, 0, 0, count, count, size, offset, 0)
        self._staged.write(directory + tail)


def _padding(position: int) -> bytes:
    """An extra field after which the content starts at a multiple of the alignment."""
    missing = -position % ALIGNMENT
    if not missing:
        return b""
    missing += ALIGNMENT if missing < EXTRA.size else 0
    return EXTRA.pack(_PADDING, missing - EXTRA.size) + b"Z" * (missing - EXTRA.size)


def _central(raw_name: bytes, flags: int, crc: int, size: int, offset: int) -> bytes:
    wide = [value for value in (size, size, offset) if value >= LARGEST_32]
    extra = b"".join(value.to_bytes(8, "little") for value in wide)
    if wide:
        extra = EXTRA.pack(EXTRA64, len(extra)) + extra
    version = _VERSION64 if wide else _VERSION
    return (
        CENTRAL.pack(
            *(CENTRAL_SIGNATURE, version, version, flags, 0, 0, _DATE, crc),
            *(min(size, ALL_ONES_32) if size < LARGEST_32 else ALL_ONES_32,) * 2,
            *(len(raw_name), len(extra), 0, 0, 0, 0),
            offset if offset < LARGEST_32 else ALL_ONES_32,
        )
        + raw_name
        + extra
    )
