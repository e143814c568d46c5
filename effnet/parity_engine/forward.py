"""One network in both precisions. Imports nothing of `converters`: it also runs in environments without their needs."""

from __future__ import annotations

from collections.abc import Mapping

from effnet.backends import Network, runner
from effnet.choices import Backend, Device, Precision
from effnet.parity_engine.compare import Array, Outputs
from effnet_core import endpoints


def run(
    network: Network,
    batch: Array,
    *,
    backend: Backend,
    device: Device = Device.CPU,
    names: tuple[str, ...] | None = None,
) -> Outputs:
    """The endpoints `names` of a network in float32 and in float64; None: every one."""
    chosen = endpoints(network.spec) if names is None else names
    return run_each(dict.fromkeys(Precision, network), batch, backend=backend, device=device, names=chosen)


def run_each(
    networks: Mapping[Precision, Network],
    batch: Array,
    *,
    backend: Backend,
    device: Device = Device.CPU,
    names: tuple[str, ...],
) -> Outputs:
    """The same, where the network is not the same in both precisions."""
    results: dict[Precision, dict[str, Array]] = {}
    for precision, network in networks.items():
        with runner(network, endpoints=names, backend=backend, precision=precision, device=device) as forward:
            results[precision] = forward(batch)
    return Outputs(float32=results[Precision.FLOAT32], float64=results[Precision.FLOAT64])
