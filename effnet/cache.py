"""Where fetched checkpoints lie, and what is remembered of each: its digest when it first came."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from converters.formats.staging import StagedFile
from effnet.errors import DownloadError

VARIABLE = "EFFNET_CACHE"
"""The environment variable that names another folder."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a checkpoint was when it first came."""

    sha256: str
    size: int
    """Bytes."""
    address: str
    date: str
    """ISO 8601."""


def cache_folder() -> Path:
    """$EFFNET_CACHE, else the platform's place for caches: ~/.cache/effnet on Linux, or below $XDG_CACHE_HOME."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    pooch: Any = import_module("pooch")
    return Path(pooch.os_cache("effnet")).expanduser()


def record_path(folder: Path, name: str) -> Path:
    """Where the record of a checkpoint lies."""
    return folder / f"{name}.json"


def read_record(path: Path) -> Record | None:
    """The record, None where there is none. Raises `DownloadError` for a damaged one."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path) from error
    try:
        values: Any = json.loads(text)
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(values, dict):
        raise _damaged(path)
    known = {field.name: cast("dict[str, Any]", values).get(field.name) for field in fields(Record)}
    kinds = {name: int if name == "size" else str for name in known}
    if not all(isinstance(known[name], kind) for name, kind in kinds.items()):
        raise _damaged(path)
    return Record(**cast("Any", known))


def write_record(path: Path, record: Record) -> None:
    """Write the record, whole or not at all. Raises `OutputError` when the disk refuses."""
    with StagedFile(path, overwrite=True, sync=True) as staged:
        staged.write(json.dumps(asdict(record), indent=2).encode() + b"\n")
        staged.commit()


def digest(path: Path) -> tuple[str, int]:
    """The SHA-256 of a file in hexadecimal, and its size in bytes. Raises `DownloadError` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError as error:
        raise DownloadError(f"{path} cannot be read: {error.strerror or error}. Remove it and fetch again.") from None


@contextmanager
def locked(folder: Path, name: str) -> Generator[None]:
    """Let one process or thread at a time work on a checkpoint; others wait. The folder is made.

    Raises `DownloadError` where the folder cannot be written.
    """
    filelock: Any = import_module("filelock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / f".{name}.lock")
        lock.acquire()
    except OSError as error:
        raise DownloadError(
            f"The folder {folder} cannot be written: {error.strerror or error}. Set {VARIABLE} to another one."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _damaged(path: Path) -> DownloadError:
    return DownloadError(
        f"{path} is damaged; expected the digest of a checkpoint that was fetched before. Remove it and fetch again."
    )
