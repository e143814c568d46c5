"""How far a network with its batch normalisation folded is from itself before."""

from __future__ import annotations

from dataclasses import replace

from converters import fold
from effnet.backends import Network
from effnet.choices import Backend, Device, Precision
from effnet.loading import usual_backend
from effnet.parity_engine.compare import Comparison, Limits, compare
from effnet.parity_engine.forward import run, run_each
from effnet.parity_engine.run import Given, RandomInput, given_input
from effnet_core import endpoints


def folding_agreement(
    network: Network,
    *,
    backend: Backend | str | None = None,
    inputs: Given | None = None,
    device: Device | str = Device.CPU,
    limits: Limits | None = None,
) -> Comparison:
    """Run a network and its folded self on the same input in one backend, and compare what both have in common.

    In float64 the folded weights are float64, so that the two differ by rounding alone; in float32 they are rounded to
    float32, as they are written. `inputs` and `limits` are as in `effnet.parity`; without `backend` it is the one that
    the checkpoint belongs to. Nothing is written. Hidden layers are left out, of which folding removes some.

    Raises what `converters.fold` and `effnet.parity` raise.
    """
    chosen = usual_backend(network) if backend is None else Backend(backend)
    batch, _ = given_input(RandomInput() if inputs is None else inputs, network.spec)
    names = tuple(name for name in endpoints(network.spec) if not name.startswith("hidden."))
    folded = {precision: folded_network(network, precision) for precision in Precision}
    before = run(network, batch, backend=chosen, device=Device(device), names=names)
    after = run_each(folded, batch, backend=chosen, device=Device(device), names=names)
    return compare(before, after, limits=limits)


def folded_network(network: Network, precision: Precision) -> Network:
    """The network with its normalisations folded, weights in that type. Raises what `converters.fold` raises."""
    spec, state = fold(network.spec, network.state, dtype=precision.value)
    return replace(network, spec=spec, state=state, source=None)
