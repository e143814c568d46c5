"""The first structure of an HDF5 file. Source: HDF5 File Format Specification 3.0, section II.A."""

from __future__ import annotations

import struct

from converters.formats._hdf5.errors import damaged, unusual
from converters.formats._hdf5.window import Window
from converters.formats._signatures import HDF5

_ADDRESSES = struct.Struct("<QQQ")


def root_address(window: Window, *, where: str) -> int:
    """Where the root group's header is. Raises `FormatError`, and `UnsupportedFile` for unusual widths."""
    if window.size < 96 or window.bytes_at(0, 8) != HDF5:
        raise damaged(where, "it does not start as such files do, or is too short")
    version = window.bytes_at(8, 1)[0]
    if version > 3:
        raise unusual(where, f"has a superblock of version {version}")
    widths = window.bytes_at(13 if version < 2 else 9, 2)
    # Addresses (base, free space or extension, end), then where the root is: in the versions before 2 as an entry of a
    # group, behind an unused address and the entry's name.
    start = {0: 24, 1: 28}.get(version, 12)
    base, _, end = _ADDRESSES.unpack(window.bytes_at(start, _ADDRESSES.size))
    if widths != b"\x08\x08" or base != 0:
        raise unusual(where, "has a block before its HDF5 part, or addresses of another width than 8 bytes")
    if end > window.size:
        raise damaged(where, f"{end} bytes are expected, but it ends at {window.size}")
    return int.from_bytes(window.bytes_at(start + (40 if version < 2 else 24), 8), "little")
