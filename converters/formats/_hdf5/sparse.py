"""A file in memory of which only the pages exist that were written: what h5py lays structures out in."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import groupby
from typing import Any

_PAGE = 4096


class SparseFile(io.RawIOBase):
    """The file object; room that was left for arrays takes no memory, and reads as zeros."""

    def __init__(self) -> None:
        super().__init__()
        self._pages: dict[int, bytearray] = {}
        self._position = 0
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of the file, room that was left among them."""
        return self._size

    def runs(self) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of all that was written, pages that follow each other in one piece."""
        for _, group in groupby(enumerate(sorted(self._pages)), key=lambda item: item[1] - item[0]):
            numbers = [number for _, number in group]
            start = numbers[0] * _PAGE
            data = b"".join(self._pages[number] for number in numbers)
            yield start, data[: self._size - start]

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read at the position."""
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._position)]
        for number, inside, part in self._parts(len(view)):
            page = self._pages.get(number)
            count = part.stop - part.start
            view[part] = bytes(count) if page is None else page[inside : inside + count]
        self._position += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        """Write at the position."""
        view = memoryview(data).cast("B")
        for number, inside, part in self._parts(len(view)):
            page = self._pages.setdefault(number, bytearray(_PAGE))
            page[inside : inside + part.stop - part.start] = view[part]
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def _parts(self, count: int) -> Iterator[tuple[int, int, slice]]:
        """The next `count` bytes page by page: number of the page, where in it, and which of the bytes."""
        done = 0
        while done < count:
            number, inside = divmod(self._position + done, _PAGE)
            step = min(_PAGE - inside, count - done)
            yield number, inside, slice(done, done + step)
            done += step

    def truncate(self, size: int | None = None) -> int:
        """Give the file its size."""
        self._size = self._position if size is None else size
        return self._size

    def readable(self) -> bool:
        """Yes."""
        return True

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True
