"""The endpoints of a network, computed in a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from effnet.backends import Network
from effnet.choices import Backend, Device
from effnet.isolation.exchange import Array, Groups
from effnet.parity_engine.compare import Outputs
from effnet.parity_engine.forward import run
from effnet_core.serialization import from_json, to_json


def request(
    network: Network, batch: Array, *, backend: Backend, device: Device, names: tuple[str, ...]
) -> tuple[dict[str, Any], Groups]:
    """What a worker is asked for; its answer is for `outputs`."""
    values = {
        "task": "network",
        "name": network.name,
        "spec": to_json(network.spec),
        "backend": backend.value,
        "device": device.value,
        "names": names,
    }
    return values, {"state": network.state, "input": {"images": batch}}


def answer(values: Mapping[str, Any], groups: Groups) -> tuple[None, Groups]:
    """Run the network: the worker's part."""
    network = Network(spec=from_json(values["spec"]), state=groups["state"], name=values["name"])
    found = run(
        network,
        groups["input"]["images"],
        backend=Backend(values["backend"]),
        device=Device(values["device"]),
        names=tuple(values["names"]),
    )
    return None, {"float32": found.float32, "float64": found.float64}


def outputs(groups: Groups) -> Outputs:
    """The answer as the comparison takes it."""
    return Outputs(float32=groups["float32"], float64=groups["float64"])
