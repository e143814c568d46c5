"""A network in exact arithmetic, in a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from effnet.backends import Network
from effnet.choices import Backend, Device
from effnet.isolation.exchange import Groups
from effnet.isolation.process import Worker, ask
from effnet.parity_engine.exact_run import ExactRequest, ExactRun, Traced, run_exactly
from effnet.parity_engine.grid import Grid
from effnet.plain import plain
from effnet_core.serialization import from_json, to_json


def run_elsewhere(
    worker: Worker, network: Network, request: ExactRequest, *, backend: Backend, device: Device
) -> ExactRun:
    """`run_exactly` in a worker. Raises what `ask` raises too."""
    values = {
        "task": "exact",
        "name": network.name,
        "spec": to_json(network.spec),
        "backend": backend.value,
        "device": device.value,
        "names": request.names,
        "reference": to_json(request.reference),
        "grid": plain(request.grid),
        "seed": request.seed,
    }
    done, groups = ask(worker, values, {"state": network.state, "input": {"images": request.batch}})
    return ExactRun(
        held=groups["held"],
        inference=_traced(done["inference"], groups["inference"]),
        training=None if done["training"] is None else _traced(done["training"], groups["training"]),
        statistics=groups["statistics"],
    )


def answer(values: Mapping[str, Any], groups: Groups) -> tuple[dict[str, Any], Groups]:
    """Run the network: the worker's part."""
    network = Network(spec=from_json(values["spec"]), state=groups["state"], name=values["name"])
    request = ExactRequest(
        batch=groups["input"]["images"],
        names=tuple(values["names"]),
        reference=from_json(values["reference"]),
        grid=Grid(**values["grid"]),
        seed=values["seed"],
    )
    found = run_exactly(network, request, backend=Backend(values["backend"]), device=Device(values["device"]))
    trained = found.training
    done = {"inference": _about(found.inference), "training": None if trained is None else _about(trained)}
    arrays = {"held": found.held, "inference": found.inference.values, "statistics": found.statistics}
    return done, arrays if trained is None else {**arrays, "training": trained.values}


def _about(traced: Traced) -> dict[str, Any]:
    """What is said about a pass beside its arrays; JSON keeps every bit of a float64, and knows NaN."""
    return {"margins": dict(traced.margins), "bits": dict(traced.bits), "odd": dict(traced.odd)}


def _traced(about: Mapping[str, Any], values: Mapping[str, Any]) -> Traced:
    return Traced(values=values, margins=about["margins"], bits=about["bits"], odd=about["odd"])
