"""`python -m effnet.isolation.worker FOLDER`: does what the request in the folder asks for and answers there.

It ends as soon as its standard input is closed, which happens when the process that started it ends in whatever way,
and then removes the folder: nobody else is left to do it.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib import import_module
from pathlib import Path
from threading import Thread

from effnet.isolation import exchange
from effnet_core import EffnetError

REQUEST, ANSWER = "request", "answer"
TASKS = {
    "network": "effnet.isolation.network",
    "exact": "effnet.isolation.exact",
    "training": "effnet.isolation.training",
    "model": "effnet.testing.elsewhere",
}
"""Modules with a function `answer(values, groups)` that returns values and groups, as `exchange.write` takes them."""


def main(folder: Path) -> None:
    """Answer the request in `folder`; what is wrong with it is an answer, too."""
    Thread(target=_end_with_parent, args=[folder], daemon=True).start()
    values, groups = exchange.read(folder, REQUEST)
    try:
        done, arrays = import_module(TASKS[values["task"]]).answer(values, groups)
        exchange.write(folder, ANSWER, {"done": done}, arrays)
    except EffnetError as error:
        exchange.write(folder, ANSWER, {"failed": type(error).__name__, "message": str(error)}, {})


def _end_with_parent(folder: Path) -> None:
    while os.read(sys.stdin.fileno(), 1):  # not through Python's buffer, whose lock Python wants at its end
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
