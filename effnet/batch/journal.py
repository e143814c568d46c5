"""What is done of an unfinished table, in a folder beside it, so that an interrupted run can go on.

`results.csv.partial` holds what the run was asked for (`run.json`) and the rows that are done, one file for so many
batches. A file gets its name when it is complete, and the table is built in the same folder and moved to its place at
the end: whenever the process is killed, there is either no table or a whole one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout

from converters import OutputError
from converters.formats.staging import check_output
from effnet.batch.finished import check_record_file, record_file, with_digest
from effnet.batch.identity import differences
from effnet.batch.rows import Value
from effnet.batch.tables import table_format

VERSION = 1
"""Of the folder's contents."""
_RUN, _RECORD, _LOCK = "run.json", "record.json", "lock"
_PART = "part-{:08d}.jsonl"
_DONE = re.compile(r"part-(\d{8,})\.jsonl")
_OURS = re.compile(r"part-\d{8,}\.jsonl(\.new)?|(run|record)\.json(\.new)?|table|lock")


class Journal(AbstractContextManager["Journal"]):
    """The rows of one output that are done. Only one process at a time has it.

    `identity` says what the rows depend on. Raises `OutputError` when the output exists and is not to be overwritten,
    when an unfinished run is there and neither `resume` nor `overwrite` says what to do with it, when `resume` finds
    one of another identity, when another process is at it, when the folder holds files of somebody else, or when the
    disk refuses.
    """

    def __init__(self, target: Path, identity: Mapping[str, Value], *, resume: bool, overwrite: bool) -> None:
        self.target, self.kind = target, table_format(target)
        self.folder = partial_folder(target)
        self.identity = {"version": VERSION, **identity}
        self._check_ours()
        goes_on = resume and bool(self.done())
        if resume and not goes_on and not overwrite and target.exists():
            raise OutputError(
                f"{target} exists, no unfinished run lies beside it, and nothing says what made it. Pass --force "
                "(overwrite=True) without --resume to run everything again, or name another output."
            )
        check_output(target, overwrite=overwrite or goes_on)
        check_record_file(target)
        self._replaces = overwrite or goes_on
        with self.disk():
            self.folder.mkdir(exist_ok=True)
            self._lock = FileLock(self.folder / _LOCK, timeout=0)
            try:
                self._lock.acquire()
            except Timeout:
                raise OutputError(
                    f"Another process is writing {target}. Wait for it, or name another output."
                ) from None
        try:
            self._begin(resume=resume, overwrite=overwrite)
        except BaseException:
            self._lock.release()
            raise

    def _begin(self, *, resume: bool, overwrite: bool) -> None:
        with self.disk():
            if self.done():
                if resume:
                    self._check_same()
                elif overwrite:
                    self._clear()
                else:
                    raise OutputError(
                        f"{self.folder} holds an unfinished run ({len(self.done())} parts are done). Pass --resume "
                        "(resume=True) to go on, or --force (overwrite=True) to begin again."
                    )
            self._put(_RUN, json.dumps(self.identity, indent=2))

    def _check_same(self) -> None:
        try:
            found: Any = json.loads((self.folder / _RUN).read_text(encoding="utf-8"))
        except ValueError:
            found = None
        before = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        other = differences(before, self.identity)
        if other:
            raise OutputError(
                f"{self.folder} holds an unfinished run of another kind: {other}. Run it as before, or pass "
                "--force (overwrite=True) without --resume to begin again."
            )

    def _check_ours(self) -> None:
        for path in sorted(self.folder.glob("*")):
            if not _OURS.fullmatch(path.name):
                raise OutputError(f"{path} is not of an unfinished run. Move it elsewhere first.")

    def done(self) -> frozenset[int]:
        """The parts that are complete."""
        return _parts(self.folder)

    def save(self, number: int, rows: list[list[Value]]) -> None:
        """Keep a part, whole or not at all."""
        with self.disk():
            self._put(_PART.format(number), "".join(json.dumps(row) + "\n" for row in rows))

    def rows(self) -> Iterator[list[Value]]:
        """Every row that is done, in the order of the images."""
        for number in sorted(self.done()):
            with self.disk(), (self.folder / _PART.format(number)).open(encoding="utf-8") as file:
                try:
                    yield from map(json.loads, file)
                except ValueError:
                    raise OutputError(
                        f"{file.name} is damaged. Remove it, and --resume does that part again."
                    ) from None

    def finish(self, write: Callable[[Path], None], *, record: str) -> None:
        """Let `write` make the table, put it in its place with `record` (`record_of`), and remove the folder.

        What somebody else put there meanwhile stays, and the folder with it.
        """
        table = self.folder / "table"
        with self.disk():
            write(table)
            with table.open("rb") as file:
                os.fsync(file.fileno())
            check_output(self.target, overwrite=self._replaces)
            beside = record_file(self.target)
            if beside is not None:
                self._put(_RECORD, with_digest(record, table))
            table.replace(self.target)
            if beside is not None:
                (self.folder / _RECORD).replace(beside)
        with suppress(OSError):  # the table is in its place, whatever becomes of the folder
            self._remove()

    @contextmanager
    def disk(self) -> Generator[None]:
        """Turn what the operating system refuses into an `OutputError`."""
        try:
            yield
        except OSError as error:
            kept = f" What is done is kept in {self.folder}." if self.done() else ""
            raise OutputError(f"{self.target} cannot be written: {error.strerror or error}.{kept}") from error

    def _put(self, name: str, text: str) -> None:
        new = self.folder / f"{name}.new"
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.folder / name)

    def _clear(self) -> None:
        """Remove the parts and the description."""
        for path in sorted(self.folder.iterdir()):
            if _OURS.fullmatch(path.name) and path.name != _LOCK:
                path.unlink()

    def _remove(self) -> None:
        self._clear()
        (self.folder / _LOCK).unlink(missing_ok=True)
        self.folder.rmdir()

    def close(self) -> None:
        """Leave what is done for a later run, and nothing where nothing is."""
        if not self.done():
            with suppress(OSError):
                self._remove()
        self._lock.release()

    def __exit__(self, *_: Any) -> None:
        self.close()


def has_parts(target: Path) -> bool:
    """Whether an unfinished run of an output has done anything."""
    return bool(_parts(partial_folder(target)))


def _parts(folder: Path) -> frozenset[int]:
    found = (_DONE.fullmatch(path.name) for path in folder.glob("part-*.jsonl"))
    return frozenset(int(name[1]) for name in found if name is not None)


def partial_folder(target: Path) -> Path:
    """Where the unfinished run of an output is kept."""
    return target.with_name(f"{target.name}.partial")
