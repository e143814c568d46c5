"""Doing a part of the work in another thread.

Reading, writing, sums and checksums of large arrays let go of Python's global lock, so that a second processor core can
do them beside the first. Nothing outlives the `with`: what is under way when it ends is finished, what nobody has begun
is dropped. Tasks that nobody has begun are done by `wait` itself, so what the caller keeps across it must not stand in
memory that tasks use.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType

WORTH_IT = 1 << 20
"""Bytes from which on handing work over takes less time than it saves."""


class Aside(AbstractContextManager["Aside"]):
    """One thread, started when it is first needed; where there is no second core, the caller does the work itself."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._ends: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._alone = _cores() < 2
        self._waiting = 0

    def run(self, task: Callable[[], object]) -> None:
        """Start a task, beside others; what it raises, a later call raises, or this one where there is no thread."""
        if self._thread is None and not self._alone:
            self._start()
        if self._alone:
            task()
            return
        self._waiting += 1
        self._tasks.put(task)

    def look(self) -> None:
        """Raise what the first task that failed raised."""
        self._collect(self._ends.qsize())

    def help(self) -> bool:
        """Do a task that nobody has begun; False where there is none. Raises what the first that failed raised."""
        try:
            task = self._tasks.get_nowait()
        except Empty:
            return False
        if task is not None:
            _do(task, self._ends)
        self.look()
        return True

    def wait(self) -> None:
        """Return when every task is done, those that nobody has begun by the caller itself.

        Raises what the first that failed raised.
        """
        while self.help():
            pass
        self._collect(self._waiting)

    def _collect(self, count: int) -> None:
        failure: BaseException | None = None
        for _ in range(count):
            end = self._ends.get()
            self._waiting -= 1
            failure = failure or end
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Drop what nobody has begun and let the thread end; nothing runs any more when this returns."""
        if self._thread is not None:
            with suppress(Empty):
                while True:
                    self._tasks.get_nowait()
            self._tasks.put(None)
            self._thread.join()
            self._thread = None
            self._waiting = 0

    def _start(self) -> None:
        self._thread = Thread(target=_work, args=(self._tasks, self._ends), daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the system allows no more threads
            self._thread, self._alone = None, True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _work(tasks: SimpleQueue[Callable[[], object] | None], ends: SimpleQueue[BaseException | None]) -> None:
    while (task := tasks.get()) is not None:
        _do(task, ends)


def _do(task: Callable[[], object], ends: SimpleQueue[BaseException | None]) -> None:
    try:
        task()
    except BaseException as error:
        ends.put(error)
    else:
        ends.put(None)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux knows it
        return os.cpu_count() or 1
