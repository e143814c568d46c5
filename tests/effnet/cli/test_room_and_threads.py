"""Memory for the calls of a command, and NumPy without threads."""

import os
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import pytest

from effnet.cli.start import with_room

TASKS = Path("/proc/self/task")
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


@pytest.mark.skipif(not TASKS.is_dir(), reason="only Linux lists the threads of a process there")
def test_numpy_starts_no_threads() -> None:
    usual = _threads("import numpy", {})
    if usual == 1:
        pytest.skip("NumPy starts no threads here: one processor core, or another library than OpenBLAS")
    call = "from effnet.cli.start import import_numpy_without_threads; import_numpy_without_threads()"
    assert _threads(call, {}) == 1
    for name in ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"):
        assert _threads(call, {name: "2"}) == _threads("import numpy", {name: "2"}) == 2  # the user's choice stands


def _threads(imports: str, chosen: dict[str, str]) -> int:
    code = f"""
import os
before = dict(os.environ)
{imports}
import sys
assert "numpy" in sys.modules and os.environ == before
print(len(os.listdir("{TASKS}")))
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | chosen, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


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
