"""Fetch official checkpoints into a folder, each time the same bytes as the first time."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from converters.formats.staging import StagedFile, disk_errors
from effnet.cache import VARIABLE, Record, cache_folder, digest, locked, read_record, record_path, write_record
from effnet.download import Progress, download, proxy_settings, shown
from effnet.errors import ChangedFile, DownloadError, InputError
from effnet.official_prefix import OFFICIAL
from effnet_core.checkpoints import BASE_ADDRESS, OfficialCheckpoint, find_checkpoint, size_limit

_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20
MIRROR = "EFFNET_MIRROR"
"""The environment variable with an address to use in place of `BASE_ADDRESS`."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """An official checkpoint on this machine."""

    name: str
    path: Path
    sha256: str
    size: int
    """Bytes."""
    address: str
    """Where it first came from."""
    was_there: bool
    """True: nothing was downloaded."""


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What is fetched, and where everything lies."""

    checkpoint: OfficialCheckpoint
    address: str
    target: Path
    cached: Path
    """Where the cache has the same file; the target itself when nothing else was asked for."""
    record: Path


def fetch(
    name: str,
    *,
    to: str | Path | None = None,
    force: bool = False,
    mirror: str | None = None,
    retries: int = 2,
    timeout: float = 60.0,
    progress: Progress | None = None,
) -> Fetched:
    """The archive of an official checkpoint, downloaded unless it is there: `b0-noisy-student` and so on.

    It goes to the folder `to`, by default the cache (`cache_folder`); what the cache holds is copied from there. The
    SHA-256 of the first download is recorded in the cache; every later use is compared with it. `force` downloads
    again. `mirror` (or $EFFNET_MIRROR) is an address
    to use in place of `BASE_ADDRESS`; `retries`, `timeout` in seconds and `progress` are those of `download`. Several
    processes may fetch the same checkpoint: one downloads, the others wait for it.

    Raises `UnknownCheckpoint`, `InputError` for a folder that does not exist, `DownloadError` saying what may help, and
    `ChangedFile` with both digests for a file that is not the one that came first.
    """
    checkpoint = find_checkpoint(name.removeprefix(OFFICIAL))
    cache = cache_folder()
    folder = cache if to is None else Path(to)
    if to is not None and not folder.is_dir():
        raise InputError(f"{folder} is no folder; expected one to put {checkpoint.file_name} in. Create it first.")
    job = _Job(
        checkpoint=checkpoint,
        address=_address(checkpoint, mirror),
        target=folder / checkpoint.file_name,
        cached=cache / checkpoint.file_name,
        record=record_path(cache, checkpoint.name),
    )
    with locked(cache, checkpoint.name):
        known = read_record(job.record)
        if job.target.is_file() and not force:
            return _use(job, known)
        if known is not None and not force and _copied(job, known):
            return _fetched(job, known, was_there=True)
        try:
            return _download(job, known, retries=retries, timeout=timeout, progress=progress)
        except DownloadError as error:
            raise DownloadError(f"{OFFICIAL}{checkpoint.name}: {error}\n{_advice(job)}") from None


def _use(job: _Job, known: Record | None) -> Fetched:
    """The file that is there. One that the user put there becomes the first."""
    sha256, size = digest(job.target)
    if known is not None and known.sha256 != sha256:
        raise ChangedFile(
            f"{job.target} is not the file that was first fetched as {job.checkpoint.name}:\n"
            f"{_digests(known, sha256, size)}\n"
            f"It was damaged or replaced. `effnet fetch {job.checkpoint.name} --force` downloads it again."
        )
    record = known or _record(job, job.target, sha256, size)
    return _fetched(job, record, was_there=True)


def _copied(job: _Job, known: Record) -> bool:
    """Copy the file of the cache to another folder. False: the cache has none, or one that is not on record."""
    found = hashlib.sha256()
    try:
        with job.cached.open("rb") as file, StagedFile(job.target, overwrite=True, sync=True) as staged:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
                staged.write(chunk)
            is_on_record = found.hexdigest() == known.sha256
            if is_on_record:
                staged.commit()
    except OSError:
        return False
    return is_on_record


def _download(job: _Job, known: Record | None, *, retries: int, timeout: float, progress: Progress | None) -> Fetched:
    folder, name = job.target.parent, job.target.name
    _remove_leftovers(folder, name)
    with (
        disk_errors(job.target),
        tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=".partial", dir=folder) as part,
    ):
        limit = size_limit(job.checkpoint)
        path = download(job.address, Path(part), name, limit=limit, retries=retries, timeout=timeout, progress=progress)
        sha256, size = digest(path)
        if known is not None and known.sha256 != sha256:
            raise ChangedFile(
                f"{shown(job.address)} gives another file than the first time:\n{_digests(known, sha256, size)}\n"
                f"Nothing was replaced. If you trust the new file, remove {job.record} and fetch again."
            )
        record = known or _record(job, path, sha256, size)
        # pooch makes files that only their owner can read; the record is as the user's umask wants files to be.
        shutil.copymode(job.record, path)
        path.replace(job.target)
    return _fetched(job, record, was_there=False)


def _record(job: _Job, path: Path, sha256: str, size: int) -> Record:
    """Remember the first file of a checkpoint, once it is known to be whole."""
    _check_whole(path)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    record = Record(sha256=sha256, size=size, address=shown(job.address), date=date)
    write_record(job.record, record)
    return record


def _check_whole(path: Path) -> None:
    """Read a gzip archive to its end, whose checksum and length tell whether all of it came.

    A server that does not say how long a file is may close in the middle of it unnoticed.
    """
    with path.open("rb") as file:
        if file.read(2) != _GZIP:
            return
    try:
        with gzip.open(path) as content:
            while content.read(_CHUNK):
                pass
    except (EOFError, OSError, zlib.error) as error:
        raise DownloadError(
            f"{path.name} is incomplete or damaged ({error}); its digest was not recorded. Fetch again, and remove the "
            "file first if you put it there yourself."
        ) from error


def _fetched(job: _Job, record: Record, *, was_there: bool) -> Fetched:
    return Fetched(
        name=job.checkpoint.name,
        path=job.target,
        sha256=record.sha256,
        size=record.size,
        address=record.address,
        was_there=was_there,
    )


def _remove_leftovers(folder: Path, name: str) -> None:
    """What a killed process left: nobody else works on this checkpoint while the lock is held."""
    for left in folder.glob(f".{name}.*.partial"):
        shutil.rmtree(left, ignore_errors=True)


def _address(checkpoint: OfficialCheckpoint, mirror: str | None) -> str:
    base = mirror or os.environ.get(MIRROR) or BASE_ADDRESS
    if not base.startswith(("https://", "http://")):
        raise InputError(f"The mirror is {base!r}; expected an address that begins with https:// (or http://).")
    return base.rstrip("/") + "/" + checkpoint.path


def _digests(known: Record, sha256: str, size: int) -> str:
    return (
        f"  recorded  sha256 {known.sha256}, {known.size:,} bytes, {known.date}\n"
        f"  found     sha256 {sha256}, {size:,} bytes"
    )


def _advice(job: _Job) -> str:
    return (
        "What may help:\n"
        f"  a proxy: HTTPS_PROXY=http://HOST:PORT (now: {proxy_settings()})\n"
        f"  a mirror: {MIRROR}=ADDRESS in place of {BASE_ADDRESS}\n"
        f"  another machine: download {job.checkpoint.address} there and put it here as\n"
        f"    {job.target}\n"
        f"  ({VARIABLE}=FOLDER uses another folder.) The same command then finds it."
    )
