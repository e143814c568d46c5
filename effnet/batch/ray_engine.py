"""Parts of a listing run by workers of Ray Data, on this machine or on a cluster.

Ray gives a part that was with a worker which died to another one. Workers open the images themselves: on a cluster,
paths have to mean the same everywhere.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from effnet.batch.listing import Item
from effnet.batch.local_engine import Done, Pending
from effnet.batch.options import Plan
from effnet.batch.rows import Row
from effnet.batch.worker import Worker
from effnet.choices import Device
from effnet.errors import MissingFramework, SeparateProcessFailed, install_command
from effnet_core import InvalidOption

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # else Ray tells its makers of every start
    # Else it says of every actor that its arguments have to outlive it, which they do: this process holds them.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
"""What is set before Ray is started, unless the user has set it."""
_ERROR = re.compile(r"[A-Za-z_][\w.]*: ")
"""How the last line of a traceback begins."""
_SECONDS = 10
"""How long a cluster may take to answer; Ray itself waits for minutes."""


class PartWorker:
    """What Ray starts in each of its workers: a network, for as many parts as it is given."""

    def __init__(self, held: Any) -> None:
        ray: Any = import_module("ray")
        plan, numbers = ray.get(held)
        self._worker = Worker(plan, numbers)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """The rows of parts, as JSON: a column of Ray's has one type, and values here may be None."""
        parts = [[Item(path=path, group=group) for path, group in json.loads(text)] for text in batch["items"]]
        return {
            "number": [int(number) for number in batch["number"]],
            "rows": [json.dumps(list(self._worker.rows(part))) for part in parts],
        }


def run_by_ray(
    plan: Plan,
    numbers: Mapping[str, int] | None,
    pending: Pending,
    *,
    seen: Callable[[Row], None],
    workers: int,
    address: str | None,
) -> Done:
    """Every part with its rows, in the order in which they are done.

    Ray that is running in this process already is used. Raises `MissingFramework`, `InvalidOption` for a cluster that
    cannot be reached, `SeparateProcessFailed` for what fails in a worker.
    """
    given = [
        {"number": number, "items": json.dumps([(one.path, one.group) for one in part])} for number, part in pending
    ]
    if not given:
        return
    with _running(workers, address) as ray:
        data: Any = import_module("ray.data")
        data.DataContext.get_current().enable_progress_bars = False
        held = ray.put((plan, None if numbers is None else dict(numbers)))
        found = data.from_items(given, override_num_blocks=len(given)).map_batches(
            PartWorker,
            fn_constructor_args=[held],
            batch_size=1,
            num_gpus=1 if plan.device is Device.CUDA else None,  # else Ray hides them from the worker
            compute=data.ActorPoolStrategy(size=min(workers, len(given))),
        )
        try:
            for part in found.iter_rows():
                rows: list[Row] = json.loads(part["rows"])
                for row in rows:
                    seen(row)
                yield int(part["number"]), rows
        except ray.exceptions.RayError as error:
            raise SeparateProcessFailed(f"A worker of Ray failed: {_reason(str(error))}") from error


@contextmanager
def _running(workers: int, address: str | None) -> Generator[Any]:
    if find_spec("ray") is None:
        raise MissingFramework(f"The engine ray needs Ray Data. Install it, in the checkout: {install_command('ray')}.")
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    ray: Any = import_module("ray")
    import_module("ray.data")
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # else it describes every step; errors are raised too
    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address is None:
            ray.init(num_cpus=max(workers, os.cpu_count() or 1), include_dashboard=False, **quiet)
        else:
            _check_answers(address)
            ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        where = "started on this machine" if address is None else f"reached at {address}"
        raise InvalidOption(f"Ray cannot be {where}: {_reason(str(error))}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise `OSError` where nothing answers at an address of host and port; `auto` and the like are for Ray."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()


def _reason(text: str) -> str:
    """The last error in the text, from its name on, without the tracebacks before it."""
    lines = [line for line in text.splitlines() if line.strip()]
    starts = [place for place, line in enumerate(lines) if _ERROR.match(line)]
    return " ".join(line.strip() for line in (lines[starts[-1] :] if starts else lines[-1:]))
