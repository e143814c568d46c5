"""Every group and dataset of an HDF5 file, by its path, found within limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from converters.formats._hdf5.errors import damaged, reading
from converters.formats._hdf5.group import members
from converters.formats._hdf5.header import Header, MessageType, read_header
from converters.formats._hdf5.superblock import root_address
from converters.formats._hdf5.window import Window

MOST_OBJECTS = 100_000
"""The largest network with its optimiser has 10 000."""
MOST_LEVELS = 32
_OF_GROUPS = (MessageType.SYMBOL_TABLE, MessageType.LINK_INFO, MessageType.LINK)


class Tree(NamedTuple):
    """The headers of all objects; paths have no leading `/`, the root is the empty path."""

    groups: Mapping[str, Header]
    datasets: Mapping[str, Header]


def walk(window: Window, *, where: str) -> Tree:
    """Find every object once, in the order of names in each group.

    Raises `UnsupportedFile` for links that lead elsewhere and for what Keras does not write, and `FormatError` for two
    names of one object and for more objects or levels than any network has.
    """
    with reading(where):
        root = root_address(window, where=where)
        groups: dict[str, Header] = {"": read_header(window, root)}
        datasets: dict[str, Header] = {}
        seen = {root}
        waiting = [""]
        while waiting:
            path = waiting.pop()
            for name, address in members(window, groups[path], where=where):
                inner = f"{path}/{name}" if path else name
                if address in seen or inner in groups or inner in datasets:
                    raise damaged(f"{where}: {inner!r}", "its name or its place is that of another object")
                seen.add(address)
                if len(seen) > MOST_OBJECTS or inner.count("/") > MOST_LEVELS:
                    raise damaged(where, f"expected at most {MOST_OBJECTS} objects in {MOST_LEVELS} levels")
                header = read_header(window, address)
                if MessageType.LAYOUT in header:
                    datasets[inner] = header
                elif not header.keys().isdisjoint(_OF_GROUPS):
                    groups[inner] = header
                    waiting.append(inner)
    return Tree(groups=groups, datasets=datasets)
