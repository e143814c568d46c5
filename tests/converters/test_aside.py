"""Work in another thread: all of it done, its failures raised where it is waited for, nothing left running."""

import os
import threading

import pytest

from converters import aside
from converters.aside import Aside


@pytest.mark.parametrize("cores", [1, 2])
def test_every_task_is_done_and_the_first_failure_is_raised(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    done: list[int] = []

    def fail() -> None:
        raise ValueError("a wrong checksum")

    before = threading.active_count()
    with Aside() as thread:
        for number in range(100):
            thread.run(lambda number=number: done.append(number))
        thread.wait()
        assert sorted(done) == list(range(100))
        assert threading.active_count() - before == cores - 1
        with pytest.raises(ValueError, match="a wrong checksum"):
            _run_and_wait(thread, fail)
        thread.wait()  # what failed is told once
        thread.look()
        held = threading.Event()
        if cores == 2:
            outcome: list[bool] = []
            thread.run(lambda: outcome.append(held.wait(10)))
            thread.run(held.set)  # whoever waits, the other one does it
            thread.wait()
            assert outcome == [True]
    assert threading.active_count() == before


def _run_and_wait(thread: Aside, task: "aside.Callable[[], object]") -> None:
    thread.run(task)
    thread.wait()


def test_a_failure_does_not_wait_for_what_nobody_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    begun, go_on, done = threading.Event(), threading.Event(), list[int]()

    def first() -> None:
        begun.set()
        go_on.wait(10)

    def leave() -> None:
        with Aside() as thread:
            thread.run(first)
            begun.wait(10)
            for number in range(3):
                thread.run(lambda number=number: done.append(number))
            threading.Timer(0.05, go_on.set).start()  # when the `with` is at its end
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert done == []


def test_without_a_thread_to_be_had_the_caller_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoMore:
        def __init__(self, **_: object) -> None:
            pass

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(aside, "Thread", NoMore)
    done: list[int] = []
    with Aside() as thread:
        thread.run(lambda: done.append(1))
        assert done == [1]
        thread.wait()
