"""A worker's process: started, waited for, always ended; and how it ended, in words."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import effnet_core
from effnet import errors
from effnet.errors import SeparateProcessFailed
from effnet.isolation import exchange
from effnet.isolation.exchange import Groups
from effnet.isolation.worker import ANSWER, REQUEST
from effnet_core import EffnetError

TIME_LIMIT = 1800.0
"""Seconds for one network in both precisions."""
_PACKAGES = ("effnet", "effnet_core", "effnet_tf", "effnet_torch")
"""What a worker uses of this project. It finds them through links, so that another Python needs its framework only."""
_FATAL = "Fatal Python error"
_LINES = 12
_OUT_OF_MEMORY = ("MemoryError", "out of memory", "OutOfMemory", "ResourceExhaustedError", "bad_alloc")


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Who does the work, and how long it may take."""

    title: str
    """What runs there, in messages: "B (b0.pth) in PyTorch"."""
    python: Path | None = None
    """The interpreter; None: the one of this process."""
    time_limit: float = TIME_LIMIT
    """Seconds."""

    @property
    def interpreter(self) -> str:
        """The command that starts Python."""
        return sys.executable if self.python is None else str(self.python)


def check_python(worker: Worker) -> None:
    """Raise `SeparateProcessFailed` where the worker's interpreter is no program, before anything else takes time."""
    if shutil.which(worker.interpreter) is None:
        raise _cannot_start(worker, "there is no such program")


def ask(worker: Worker, values: Mapping[str, Any], groups: Groups) -> tuple[Any, Groups]:
    """`answered`, with all the arrays at once."""
    with answered(worker, values, groups) as (done, found):
        return done, {group: found[group] for group in found}


@contextmanager
def answered(worker: Worker, values: Mapping[str, Any], groups: Groups) -> Generator[tuple[Any, Groups]]:
    """Have a request answered in a process of its own; what it did and the arrays that it found.

    A group of arrays is read from its file whenever it is asked for, as long as the context is open. Files go through a
    temporary folder that is removed in every case. Raises `SeparateProcessFailed` when the process crashes, fails,
    takes too long or cannot be started, and the worker's own error where it refused the request.
    """
    with tempfile.TemporaryDirectory(prefix="effnet-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        exchange.write(folder, REQUEST, values, groups)
        log = folder / "log.txt"
        code = _run(worker, folder, log)
        said = log.read_text("utf-8", errors="replace")
        if code != 0:
            raise SeparateProcessFailed(_ended(worker, code, said))
        try:
            done, arrays = exchange.read(folder, ANSWER)
        except FileNotFoundError:
            raise SeparateProcessFailed(f"{_subject(worker)} ended without an answer.{_last_words(said)}") from None
        if "failed" in done:
            raise _error_type(done["failed"])(f"{worker.title}, run by {worker.interpreter}: {done['message']}")
        sys.stderr.write(said)
        yield done["done"], arrays


def _run(worker: Worker, folder: Path, log: Path) -> int:
    """Start the worker and wait for it; its exit code, negative for a signal."""
    packages = folder / "packages"
    packages.mkdir()
    for package in _PACKAGES:
        (packages / package).symlink_to(Path(__file__).resolve().parents[2] / package)
    paths = [str(packages), *filter(None, [os.environ.get("PYTHONPATH")])]
    # -P: not the folder in which the user happens to be; faulthandler: where it was when it crashed.
    command = [worker.interpreter, "-P", "-X", "faulthandler", "-m", "effnet.isolation.worker", str(folder)]
    with log.open("wb") as file:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # Control-C reaches this process alone, which then ends the worker
            )
        except OSError as error:
            raise _cannot_start(worker, error.strerror) from None
        try:
            return process.wait(worker.time_limit)
        except subprocess.TimeoutExpired:
            said = log.read_text("utf-8", errors="replace")
            raise SeparateProcessFailed(
                f"{_subject(worker)} was not done within {worker.time_limit:g} seconds, and was ended."
                f"{_last_words(said)}\nAllow it more time (--time-limit), or give it smaller or fewer images."
            ) from None
        finally:
            _end(process)


def _cannot_start(worker: Worker, reason: str | None) -> SeparateProcessFailed:
    return SeparateProcessFailed(
        f"{worker.title} cannot run in a process of its own: {worker.interpreter} cannot be started ({reason}). Name "
        "the Python of an environment, such as .venv/bin/python."
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the worker and whatever it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _ended(worker: Worker, code: int, said: str) -> str:
    """What happened, the last words, and what to do."""
    if code > 0:
        happened = f"ended with exit code {code}"
        advice = _advice_for_error(worker, said)
    else:
        happened = f"was ended by {_signal_name(-code)}"
        advice = _advice_for_signal(worker, -code, said)
    return f"{_subject(worker)} {happened}.{_last_words(said)}\n{advice}"


def _advice_for_error(worker: Worker, said: str) -> str:
    if any(word in said for word in _OUT_OF_MEMORY):
        return "Memory ran out: give it smaller or fewer images, or run it on the CPU."
    if "No module named" in said:
        return f"Install what is missing for {worker.interpreter}, or name another Python."
    return "Its last words say why."


def _advice_for_signal(worker: Worker, number: int, said: str) -> str:
    if number == signal.SIGKILL:
        return (
            "Nothing in it can do that: something outside ended it, most often the system because memory ran out. Give "
            "it smaller or fewer images, or a machine with more memory."
        )
    if any(word in said for word in _OUT_OF_MEMORY):
        return "Memory ran out: give it smaller or fewer images, or run it on the CPU."
    return (
        "The crash is in native code, of the framework or of what it loads, and the process held nothing else. See "
        f"whether the framework itself works under {worker.interpreter}, try --device cpu, or name the Python of "
        "another environment."
    )


def _subject(worker: Worker) -> str:
    return f"{worker.title}, in a process of its own ({worker.interpreter}),"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_words(said: str) -> str:
    """The last lines of a log; of a crash, those that say where it was."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    fatal = next((index for index, line in enumerate(lines) if line.startswith(_FATAL)), None)
    shown = lines[-_LINES:] if fatal is None else lines[fatal : fatal + _LINES]
    return " It said nothing." if not shown else " Its last words:" + "".join(f"\n  | {line}" for line in shown)


def _error_type(name: str) -> type[EffnetError]:
    found = getattr(errors, name, None) or getattr(effnet_core, name, None)
    return found if isinstance(found, type) and issubclass(found, EffnetError) else SeparateProcessFailed
