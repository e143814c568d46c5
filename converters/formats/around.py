"""Readers around others, for tensors that are not taken as the file holds them."""

from __future__ import annotations

from converters.formats.base import Array, Location, Reader
from converters.formats.plain_bytes import PlainBytes


class ReaderAround(Reader):
    """Another reader, and described as it; those that inherit give some tensors other names, or other numbers."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.describe_as(reader)

    def held(self, name: str) -> str | None:
        """What the other reader calls a tensor; None for one that is `made`."""
        return name

    def made(self, name: str) -> Array:
        """A tensor that the other reader does not give."""
        raise KeyError(name)

    def read(self, name: str) -> Array:
        """The array; it is valid until the next `read` or `close`."""
        held = self.held(name)
        return self.made(name) if held is None else self._reader.read(held)

    def plain(self, name: str) -> PlainBytes | None:
        """The bytes of the array, None for one that is made."""
        held = self.held(name)
        return None if held is None else self._reader.plain(held)

    def check_plain(self) -> None:
        """Compare the checksum of what was read, as the other reader does."""
        self._reader.check_plain()

    def location(self, name: str) -> Location | None:
        """Where the plain bytes of the array are, None for one that is made."""
        held = self.held(name)
        return None if held is None else self._reader.location(held)

    def close(self) -> None:
        """Close the other reader."""
        self._reader.close()
