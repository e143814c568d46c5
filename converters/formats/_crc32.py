"""CRC-32, the checksum of zip archives, by a native library: Python's own takes longer than reading the file."""

from __future__ import annotations

from typing import Any

from zlib_ng import zlib_ng

_library: Any = zlib_ng


def crc32(data: bytes | memoryview, value: int = 0) -> int:
    """The checksum of the bytes, or of what had the checksum `value` followed by them."""
    return _library.crc32(data, value)


def crc32_of_both(first: int, second: int, length: int) -> int:
    """The checksum of bytes that had the checksum `first`, and behind them `length` bytes that had `second`."""
    return _library.crc32_combine(first, second, length)
