"""A model that is made and run in a process of its own, under this Python or another one."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from effnet.choices import Device, Layout, Precision
from effnet.errors import UnusableModel
from effnet.isolation.exchange import Groups
from effnet.isolation.process import TIME_LIMIT, Worker, ask
from effnet.testing.sides import Array, Recorded, side_of


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """A model that a function returns, in a process of its own: for a framework that this process cannot load.

    The other environment needs NumPy and whatever the function imports; not this package.
    """

    factory: str
    """The function: "path/to/file.py:function", or "package.module:function"."""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What it is called with, by name; values that JSON knows, such as the path of a file of weights."""
    python: str | Path | None = None
    """The interpreter; None: the one of this process."""
    time_limit: float = TIME_LIMIT
    """Seconds."""


class ElsewhereSide:
    """Such a model as one side of a comparison. Its own names have to be given: it is not looked into."""

    def __init__(self, model: Elsewhere, layout: Layout | None) -> None:
        self._model = model
        self._layout = layout

    @property
    def title(self) -> str:
        """The function and the interpreter."""
        return f"{self._model.factory} in a process of its own ({self._worker.interpreter})"

    def endpoints(self) -> Mapping[str, str]:
        """None are known."""
        return {}

    @property
    def _worker(self) -> Worker:
        python = None if self._model.python is None else Path(self._model.python)
        return Worker(title=self._model.factory, python=python, time_limit=self._model.time_limit)

    def run(
        self, inputs: Array, names: Sequence[str], *, precisions: Sequence[Precision], device: Device
    ) -> dict[Precision, Recorded]:
        """As `Side.run`; raises `SeparateProcessFailed` too."""
        file, _, function = self._model.factory.rpartition(":")
        values = {
            "task": "model",
            "factory": [str(Path(file).absolute()) if file.endswith(".py") else file, function],
            "arguments": dict(self._model.arguments),
            "layout": None if self._layout is None else self._layout.value,
            "names": list(names),
            "precisions": [precision.value for precision in precisions],
            "device": device.value,
        }
        layout, groups = ask(self._worker, values, {"input": {"input": inputs}})
        return {
            precision: Recorded(
                values=groups[f"{precision}-values"],
                outputs=groups[f"{precision}-outputs"],
                layout=Layout(layout),
            )
            for precision in precisions
        }


def answer(values: Mapping[str, Any], groups: Groups) -> tuple[str, Groups]:
    """Make and run the model: the worker's part."""
    model = _factory(*values["factory"])(**values["arguments"])
    side = side_of(model, None if values["layout"] is None else Layout(values["layout"]))
    found = side.run(
        groups["input"]["input"],
        values["names"],
        precisions=[Precision(name) for name in values["precisions"]],
        device=Device(values["device"]),
    )
    values_of = {f"{precision}-values": recorded.values for precision, recorded in found.items()}
    layout = next(recorded.layout for recorded in found.values())
    return layout.value, values_of | {f"{precision}-outputs": recorded.outputs for precision, recorded in found.items()}


def _factory(module: str, function: str) -> Callable[..., Any]:
    if not module.endswith(".py"):
        found = import_module(module)
    else:
        spec = importlib.util.spec_from_file_location(Path(module).stem, module)
        if spec is None or spec.loader is None or not Path(module).is_file():
            raise UnusableModel(f"There is no file {module}, whose function {function!r} should make the model.")
        found = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = found
        spec.loader.exec_module(found)
    if not callable(getattr(found, function, None)):
        raise UnusableModel(f"{module} has no function {function!r} that could make the model.")
    return getattr(found, function)
