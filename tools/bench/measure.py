"""Wall time and memory of a command, seen from outside.

Memory is the peak of `Anonymous` in /proc/PID/smaps_rollup: what the process has allocated. Resident memory would also
count the mapped input file, which the system can take back at any time. The kernel keeps no peak of it, so it is read
again and again while the command runs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

RUNS = 5
_ANONYMOUS = re.compile(rb"^Anonymous: +(\d+) kB$", re.MULTILINE)
_IDLE = "import numpy, time; print('ready', flush=True); time.sleep(60)"

Command = Sequence[str | Path]


class CommandFailed(Exception):
    """A measured command did not succeed."""


def seconds(command: Command, *, before: Callable[[], object] = lambda: None, runs: int = RUNS) -> float:
    """The best wall time of several runs; `before` is called before each, off the clock."""
    best = float("inf")
    for _ in range(runs):
        before()
        started = time.perf_counter()
        run(command)
        best = min(best, time.perf_counter() - started)
    return best


def run(command: Command) -> str:
    """Run a command and give what it printed. Raises `CommandFailed` with its words when it does not succeed."""
    # Where Python may not keep what it compiles, every start compiles this project anew: no user's machine does that.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise CommandFailed(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def peak_bytes(command: Command, *, before: Callable[[], object] = lambda: None, runs: int = 2) -> int:
    """The highest `Anonymous` seen in several runs of a command."""
    peak = 0
    for _ in range(runs):
        before()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                peak = max(peak, _anonymous(process.pid))
                time.sleep(0.0005)
        if process.returncode:
            raise CommandFailed(f"{' '.join(map(str, command))} ended with {process.returncode}")
    return peak


def idle_bytes() -> int:
    """`Anonymous` of a Python that has imported NumPy and does nothing."""
    with subprocess.Popen([sys.executable, "-c", _IDLE], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = _anonymous(process.pid)
        process.kill()
    return found


def _anonymous(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
    except OSError:  # it has just ended
        return 0
    match = _ANONYMOUS.search(text)
    return int(match[1]) * 1024 if match else 0
