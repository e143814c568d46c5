"""What makes the start of a command short."""

import os
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import pytest

from effnet.cli.start import with_room

_CALLS = 2000
_DEPTHS = 400  # the frames of so many calls fill several of CPython's pieces


def test_calls_beneath_take_no_memory_at_any_depth() -> None:
    # Control: without room there is a depth at which nearly every call fetches memory from the system.
    assert max(_faults_by_depth()) > _CALLS / 2
    assert max(with_room(_faults_by_depth)) < _CALLS / 10


def test_results_and_errors_come_through() -> None:
    assert with_room(lambda: 5) == 5
    with pytest.raises(KeyError, match="name"):
        with_room(lambda: {}["name"])


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux lists a process's threads there")
@pytest.mark.parametrize(
    ("numpy", "chosen", "threads"),
    [
        ("import_numpy_without_threads()", None, 1),
        ("import_numpy_without_threads()", "2", 2),  # the user's choice stands
        ("import numpy", "2", 2),  # control: NumPy does start threads
    ],
)
def test_numpy_starts_no_threads(numpy: str, chosen: str | None, threads: int) -> None:
    code = f"""
import os
from effnet.cli.start import import_numpy_without_threads
before = dict(os.environ)
{numpy}
assert os.environ == before
print(len(os.listdir("/proc/self/task")))
"""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if chosen is not None:
        environment["OPENBLAS_NUM_THREADS"] = chosen
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == threads


def _faults_by_depth() -> list[int]:
    def faults(depth: int) -> int:
        if depth:
            return faults(depth - 1)
        before = getrusage(RUSAGE_SELF).ru_minflt
        for _ in range(_CALLS):
            _call()
        return getrusage(RUSAGE_SELF).ru_minflt - before

    return [faults(depth) for depth in range(_DEPTHS)]


def _call() -> None:
    pass
