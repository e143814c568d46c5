"""Files that appear whole or not at all.

A staged file has no name until it is committed (O_TMPFILE, where the file system knows it), so that not even a killed
process leaves a part of it behind; elsewhere it has a hidden temporary name in the same folder.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from threading import local
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from converters.errors import OutputError

_CHUNK = 512 << 10  # fits the cache of a processor core: what is read back was just written


class _ReadBack(local):
    """What was read back, for each thread its own."""

    def __init__(self) -> None:
        self.chunk = bytearray(_CHUNK)


class StagedFile(AbstractContextManager["StagedFile"]):
    """One output file that nobody sees until `commit`.

    Raises `OutputError` when the output exists and is not to be overwritten, its folder does not exist, or the disk
    refuses a write.
    """

    def __init__(self, target: Path, *, overwrite: bool, sync: bool) -> None:
        with disk_errors(target):
            # Through a link as `cp` writes: to the file that it names.
            self.target = Path(os.path.realpath(target)) if target.is_symlink() else target
        self.position = 0
        self._overwrite = overwrite
        self._sync = sync
        self._temporary: Path | None = None
        self._read_back = _ReadBack()
        with disk_errors(target):
            check_output(self.target, overwrite=overwrite)
            self._descriptor = self._open()
        self._path = self._temporary or Path(f"/proc/self/fd/{self._descriptor}")

    def _open(self) -> int:
        flag = getattr(os, "O_TMPFILE", None)
        if flag is not None and Path("/proc/self/fd").is_dir():
            with suppress(OSError):
                return os.open(self.target.parent, flag | os.O_RDWR | os.O_CLOEXEC, 0o666)
        import tempfile  # noqa: PLC0415 - a third of this module's import time, and seldom needed

        descriptor, name = tempfile.mkstemp(prefix=f".{self.target.name}.", suffix=".partial", dir=self.target.parent)
        self._temporary = Path(name)
        umask = os.umask(0)
        os.umask(umask)
        self._temporary.chmod(0o666 & ~umask)
        return descriptor

    def allocate(self, size: int) -> None:
        """Take `size` bytes of the disk now: a full one says so before anything is written, and writing is quicker.

        Nothing is taken where the file has a temporary name: its file system may not know how, and the C library would
        write into every block instead. Whatever else refuses does not matter: writing will tell.
        """
        if self._temporary is None and size > 0:
            with disk_errors(self.target):
                try:
                    os.posix_fallocate(self._descriptor, 0, size)
                except OSError as error:
                    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                        raise

    @property
    def path(self) -> Path:
        """Where the staged file can be opened for reading now."""
        return self._path

    def write(self, data: bytes | memoryview | NDArray[Any]) -> int:
        """Append bytes, read them back and compare; gives their offset. Raises `OutputError` if they differ."""
        start = self.position
        self.overwrite_at(start, data)
        self.position = start + _bytes_of(data).nbytes
        return start

    def overwrite_at(self, offset: int, data: bytes | memoryview | NDArray[Any]) -> None:
        """Write bytes at an offset, read them back and compare. Raises `OutputError` if they differ.

        Several threads may write at different places.
        """
        view = _bytes_of(data)
        with disk_errors(self.target):
            for start in range(0, len(view), _CHUNK):
                chunk = view[start : start + _CHUNK]
                self._write_chunk(chunk, offset + start)
                self._compare(chunk, offset + start)

    def _write_chunk(self, chunk: memoryview, offset: int) -> None:
        done = 0
        while done < len(chunk):
            done += os.pwrite(self._descriptor, chunk[done:], offset + done)

    def _compare(self, chunk: memoryview, offset: int) -> None:
        again = self._read_back.chunk
        count = os.preadv(self._descriptor, [memoryview(again)[: len(chunk)]], offset)
        # This compares memory; == of a memoryview would compare numbers, one by one.
        if count != len(chunk) or not again.startswith(chunk):
            raise OutputError(f"{self.target}: the disk gave back other bytes than were written; check the disk.")

    def commit(self) -> None:
        """Give the file its final name."""
        with disk_errors(self.target):
            if self._sync:
                os.fsync(self._descriptor)
            check_output(self.target, overwrite=self._overwrite)
            if self._temporary is not None:
                self._temporary.replace(self.target)
                self._temporary = None
            elif self._overwrite:
                self._replace()
            else:
                self._link(self.target)

    def _replace(self) -> None:
        import tempfile  # noqa: PLC0415 - as above

        with tempfile.TemporaryDirectory(prefix=f".{self.target.name}.", dir=self.target.parent) as folder:
            named = Path(folder) / self.target.name
            self._link(named)
            named.replace(self.target)

    def _link(self, name: Path) -> None:
        # Only with a folder's descriptor does os.link ask the system to follow the link in /proc to the open file.
        folder = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.link(str(self._descriptor), name, src_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Discard what was not committed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            self._temporary = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bytes_of(data: bytes | memoryview | NDArray[Any]) -> memoryview:
    if isinstance(data, bytes | memoryview):
        return memoryview(data).cast("B")
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8).data


def check_output(target: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` unless a file can be put at `target`."""
    there = next((folder for folder in target.parents if folder.exists()), target.parent)
    if there.exists() and not there.is_dir():
        raise OutputError(f"{there} is a file; expected a folder to write {target} into. Name another output.")
    if not target.parent.is_dir():
        raise OutputError(f"The folder {target.parent} does not exist. Create it first, or name another output.")
    if target.is_dir():
        raise OutputError(f"{target} is a folder; expected the name of a file to write.")
    if target.exists() and not target.is_file():
        raise OutputError(f"{target} is a device, a pipe or a socket; expected the name of a file to write.")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists. Pass --force (overwrite=True) to replace it, or name another output.")


@contextmanager
def disk_errors(target: Path) -> Generator[None]:
    """Turn what the operating system refuses into an `OutputError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{target} cannot be written: {reason}. Nothing was left behind.") from error
