"""A process that runs the contenders of one runtime and answers until its input ends, a line of JSON for each line.

    python tools/bench/inference_worker.py MODULE NETWORK FOLDER THREADS SIDE

{"name": NAME, "batch": N} prepares, warms up and gives {"logits": ...} or {"skipped": REASON};
with "count": C it runs once off the clock, then C times, and gives {"seconds": [...]}.
{"floor": N} gives {"seconds": S, "layers": L} of the bare convolutions and dense layers of a batch.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from inference_task import Contender, Run, Skipped, Task, images

WARM_UP = 3
"""Batches, each run for the first time of that shape included."""


class Worker:
    """Keeps what it has built."""

    def __init__(self, module: str, task: Task, side: int) -> None:
        self._side = side
        self._task = task
        self._module: Any = import_module(module)
        self._module.start(task)
        self._built: dict[str, Contender] = {}
        self._runs: dict[tuple[str, int], Run] = {}

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """One line."""
        if "floor" in question:
            seconds, layers = self._module.floor(self._task, images(question["floor"], self._side))
            return {"seconds": seconds, "layers": layers}
        key = (question["name"], question["batch"])
        if "count" not in question:
            return self._warmed(*key)
        run, seconds = self._runs[key], list[float]()
        run()
        for _ in range(question["count"]):
            started = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - started)
        return {"seconds": seconds}

    def _warmed(self, name: str, batch: int) -> dict[str, Any]:
        try:
            if name not in self._built:
                self._built[name] = self._module.CONTENDERS[name](self._task)
            run = self._runs[name, batch] = self._built[name](images(batch, self._side))
        except Skipped as reason:
            return {"skipped": str(reason)}
        for _ in range(WARM_UP):
            logits = run()
        return {"logits": np.asarray(logits)[0].tolist()}


def main() -> None:
    """Answers go where the standard output went; what libraries print goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, network, folder, threads, side = sys.argv[1:]
    worker = Worker(module, Task(network=network, folder=Path(folder), threads=int(threads)), int(side))
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(worker.answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
