"""One network in exact arithmetic. Imports nothing of `converters`, whose needs a worker's environment may lack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from effnet.backends import Array, Network, device_of
from effnet.choices import Backend, Device
from effnet.errors import InexactNetwork
from effnet.frameworks import check_trainable, import_frameworks
from effnet.parity_engine.grid import Grid, grid_state, norm_of, to_grid
from effnet.parity_engine.trace import Trace
from effnet_core import NetworkSpec, Role, parameters


class _Model(Protocol):
    """A model of either framework."""

    def state(self) -> dict[str, Array]: ...
    def load(self, state: Mapping[str, Array]) -> None: ...
    def run(self, batch: Array, trace: Trace) -> None: ...
    def updated(self, reference: NetworkSpec, before: Mapping[str, Array], trace: Trace) -> dict[str, Array]: ...


@dataclass(frozen=True, kw_only=True)
class ExactRequest:
    """What a network is to be run on."""

    batch: Array
    """Normalised images (N, H, W, C)."""
    names: tuple[str, ...]
    """Endpoints."""
    reference: NetworkSpec
    """Whose normalisations the grid is made for."""
    grid: Grid
    seed: int | None
    """Of the masks in training; None: evaluation alone."""


@dataclass(frozen=True, kw_only=True)
class Traced:
    """What `Trace` found in one pass, by layer."""

    values: Mapping[str, Array]
    margins: Mapping[str, float]
    bits: Mapping[str, float]
    odd: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ExactRun:
    """What one network gave."""

    held: Mapping[str, Array]
    """Its weights, by canonical name, as the model held them after loading."""
    inference: Traced
    training: Traced | None
    statistics: Mapping[str, Array]
    """After training."""


def run_exactly(network: Network, request: ExactRequest, *, backend: Backend, device: Device) -> ExactRun:
    """Run a network on the grid. Raises `InexactNetwork`, `MissingFramework` and `DeviceUnavailable`."""
    import_frameworks([backend])
    grid = request.grid
    batch = to_grid(request.batch.astype(np.float64), grid.activations)[0]
    with device_of(backend, device):
        model = _model(network, backend, device, request.names)
        held = model.state()
        _check_weights(network, held)
        state = grid_state(network.spec, held, grid, reference=request.reference)
        model.load(state)
        trace = Trace(network.spec, state, grid, reference=request.reference)
        model.run(batch, trace)
        if request.seed is None:
            return ExactRun(held=held, inference=_traced(trace), training=None, statistics={})
        trained = Trace(network.spec, state, grid, reference=request.reference, training=True, seed=request.seed)
        model.run(batch, trained)
        return ExactRun(
            held=held,
            inference=_traced(trace),
            training=_traced(trained),
            statistics=model.updated(request.reference, state, trained),
        )


def _check_weights(network: Network, held: Mapping[str, Array]) -> None:
    """Raise `InexactNetwork` for what the grid, which replaces weights by others, would hide."""
    bad = [name for name, values in held.items() if not np.isfinite(values).all()]
    if bad:
        raise InexactNetwork(
            f"{network.name} holds NaN or Inf in {len(bad)} tensors, first {bad[0]}; expected finite weights. "
            "Without --exact they are compared all the same."
        )
    lowest = {
        parameter.name: (float(held[parameter.name].min()), norm_of(network.spec, parameter.layer).epsilon)
        for parameter in parameters(network.spec)
        if parameter.role is Role.VARIANCE and parameter.name in held
    }
    rootless = [name for name, (variance, epsilon) in lowest.items() if variance + epsilon <= 0]
    if rootless:
        variance, epsilon = lowest[rootless[0]]
        raise InexactNetwork(
            f"{network.name} has variances that have no root in {len(rootless)} tensors, first {rootless[0]} with "
            f"{variance:g}; expected more than -{epsilon:g}, the epsilon that is added. Without --exact they are "
            "compared all the same."
        )


def _traced(trace: Trace) -> Traced:
    return Traced(values=trace.values, margins=trace.margins, bits=trace.bits, odd=trace.odd)


def _model(network: Network, backend: Backend, device: Device, names: tuple[str, ...]) -> _Model:
    from effnet.parity_engine.exact_tf import KerasModel
    from effnet.parity_engine.exact_torch import TorchModel

    match backend:
        case Backend.TF:
            return KerasModel(network, endpoints=names)
        case Backend.TORCH:
            return TorchModel(network, endpoints=names, device=device)
        case Backend.ONNX:
            check_trainable([backend], wanted="Exact arithmetic")
            raise AssertionError("ONNX Runtime was refused")
