"""The processes of `tools/bench_inference.py`, and the network's files that they read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import measure
from bench.inference import RUNTIMES

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOREIGN = ROOT / ".venv-foreign" / "bin" / "python"


class WorkerFailed(Exception):
    """A process ended by itself; its last words."""


def write_files(network: str, folder: Path, *, tf2onnx: Path | None) -> None:
    """The network in every form that is not there yet, tf2onnx's included where there is a Python that has it."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent) as name:
            measure.run([sys.executable, HERE / "inference_files.py", network, name])
            Path(name).rename(folder)
            Path(name).mkdir()  # for its end
    if (folder / "tf2onnx.onnx").exists():
        return
    reason = folder / "tf2onnx.reason"
    if tf2onnx is None:
        reason.write_text("no Python with tf2onnx was named (--tf2onnx)")
        return
    # tf2onnx folds normalisations itself.
    source = ["--saved-model", folder / "plain-savedmodel", "--signature_def", "serving_default", "--opset", "18"]
    try:
        measure.run([tf2onnx, "-m", "tf2onnx.convert", *source, "--output", folder / "tf2onnx.onnx"])
    except (OSError, measure.CommandFailed) as error:
        reason.write_text(f"tf2onnx failed: {error}")


class Process:
    """One runtime, alive until it is closed."""

    def __init__(self, runtime: str, *, network: str, folder: Path, threads: int, side: int) -> None:
        self.runtime = runtime
        chosen = RUNTIMES[runtime]
        self._log = folder / f"{runtime.replace(' ', '-')}.log"
        words = [chosen.module, network, folder, threads, side]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [FOREIGN if chosen.is_foreign else sys.executable, HERE / "inference_worker.py", *map(str, words)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(threads) | dict(chosen.environment),
            )

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """The answer, when it is there."""
        assert self._process.stdin is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return self.read()

    def read(self) -> dict[str, Any]:
        """The next line. Raises `WorkerFailed` where there is none."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(f"{self.runtime} ended with {self._process.wait()}:\n{self._log.read_text()[-2000:]}")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        with self._process:
            self._process.kill()


def _environment(threads: int) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
    }


@contextmanager
def processes(
    runtimes: Sequence[str], *, network: str, folder: Path, threads: int, side: int
) -> Iterator[dict[str, Process]]:
    """By the name of the runtime, all of them started and ready."""
    started: dict[str, Process] = {}
    try:
        for runtime in runtimes:
            started[runtime] = Process(runtime, network=network, folder=folder, threads=threads, side=side)
        for process in started.values():
            process.read()
        yield started
    finally:
        for process in started.values():
            process.close()
