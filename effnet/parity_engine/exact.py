"""Two networks in exact arithmetic: not one bit may differ.

The models that the backends build are run on a grid (`effnet.parity_engine.grid`), in evaluation and in training, and
every single layer's result is compared bit for bit, so that whatever differs is a difference of meaning, in the layer
that is named. The weights themselves are compared bit for bit before they are put on the grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from converters import SourceOptions
from effnet.backends import Array, Network, device_of
from effnet.choices import Backend, Device
from effnet.errors import InexactNetwork, InputError, SeparateProcessFailed
from effnet.frameworks import check_trainable, import_frameworks
from effnet.isolation.decision import facts, known_crash
from effnet.parity_engine.bits import Bits, differing_bits
from effnet.parity_engine.grid import Grid, grid_state, to_grid
from effnet.parity_engine.run import Given, RandomInput, Side, chosen_backends, given_input, opened, side
from effnet.parity_engine.specs import check_comparable, common_endpoints, up_to_common_end
from effnet.parity_engine.trace import Trace
from effnet_core import LayerKind, NetworkSpec, Role, layers, parameters

_STATISTICS_BITS = 16
"""Of updated moving statistics that are compared; they are means over a batch, whose last bits depend on the order."""


@dataclass(frozen=True, kw_only=True)
class ExactReport:
    """The result of `exact_parity`."""

    a: Side
    b: Side
    device: Device
    input: str
    notes: tuple[str, ...]
    """What the definitions differ in."""
    grid: Grid
    order: tuple[str, ...]
    """Every layer in forward order."""
    tensors: tuple[Bits, ...]
    """The weights that the two models hold, by canonical name, before they were put on the grid."""
    inference: tuple[Bits, ...]
    """Every layer in forward order."""
    training: tuple[Bits, ...]
    """The same in training mode; empty where that was not asked for."""
    statistics: tuple[Bits, ...]
    """Moving means and variances after the batch of training, by canonical name."""
    bits: Mapping[str, float]
    """Of each layer with weights: how many of the 53 bits its sums can need."""

    @property
    def agrees(self) -> bool:
        """True when not one bit differs anywhere."""
        return not self.differences

    @property
    def differences(self) -> tuple[Bits, ...]:
        """Whatever differs."""
        everything = (*self.tensors, *self.inference, *self.training, *self.statistics)
        return tuple(item for item in everything if item.differing)

    @property
    def first_difference(self) -> str | None:
        """The first layer, in forward order, whose weights or results differ; else whose results in training do; else
        whose statistics do.
        """
        places = {name: place for place, name in enumerate(self.order)}
        for part in ((*self.tensors, *self.inference), self.training, self.statistics):
            found = [self._layer(item.name) for item in part if item.differing]
            if found:
                return min(found, key=places.__getitem__)
        return None

    def _layer(self, name: str) -> str:
        """The layer of a result or of a tensor."""
        if name in self.order:
            return name
        layer = name.rpartition(".")[0]
        return "logits" if layer == "classifier" else layer


class _Model(Protocol):
    """A model of either framework."""

    def state(self) -> dict[str, Array]: ...
    def load(self, state: Mapping[str, Array]) -> None: ...
    def run(self, batch: Array, trace: Trace) -> None: ...
    def updated(self, reference: NetworkSpec, before: Mapping[str, Array], trace: Trace) -> dict[str, Array]: ...


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What one side gave."""

    held: Mapping[str, Array]
    inference: Trace
    training: Trace | None
    statistics: Mapping[str, Array]


def exact_parity(
    a: str | Path | Network,
    b: str | Path | Network,
    *,
    a_options: SourceOptions | None = None,
    b_options: SourceOptions | None = None,
    a_backend: Backend | str | None = None,
    b_backend: Backend | str | None = None,
    inputs: Given | None = None,
    device: Device | str = Device.CPU,
    training: bool = True,
    seed: int = 0,
    grid: Grid | None = None,
) -> ExactReport:
    """Run two checkpoints, or networks in memory, where every sum is exact, and count the bits that differ.

    Arguments are those of `effnet.parity`. With `training`, both run in training mode too: normalisations with the
    statistics of the batch, drop-connect and dropout with masks from `seed`, and the moving statistics are compared
    after it. The networks keep their real weights up to `grid`, which says how many bits are left of them.

    Raises `InexactNetwork` where numbers need more bits than a float64 has, or are not finite, `SeparateProcessFailed`
    where one process is known to crash, and what `parity` raises.
    """
    where, used = Device(device), Grid() if grid is None else grid
    network_a, network_b = opened(a, a_options), opened(b, b_options)
    backends = chosen_backends(network_a, network_b, a_backend, b_backend)
    check_trainable(backends, wanted="Exact arithmetic")
    notes = check_comparable(network_a.spec, network_b.spec)
    reference = up_to_common_end(network_a.spec, network_b.spec)[0]
    names = common_endpoints(network_a.spec, network_b.spec)
    batch, description = given_input(RandomInput() if inputs is None else inputs, network_a.spec)
    if training and len(batch) < 2:
        raise InputError("The statistics of a batch need at least 2 images; found 1. Give more, or leave training out.")
    crash = known_crash(backends, facts())
    if crash is not None:
        raise SeparateProcessFailed(
            f"Exact arithmetic runs both networks in this process, which would crash: {crash} Import torch._dynamo "
            "before tensorflow, or use the command effnet parity --exact, which starts afresh."
        )
    import_frameworks(backends)
    first, second = (
        _run(
            network,
            to_grid(batch.astype(np.float64), used.activations)[0],
            backend=backend,
            device=where,
            names=names,
            reference=network_a.spec,
            grid=used,
            seed=seed if training else None,
        )
        for network, backend in zip((network_a, network_b), backends, strict=True)
    )
    order = tuple(layer.name for layer in layers(reference))
    return ExactReport(
        a=side(network_a, backends[0]),
        b=side(network_b, backends[1]),
        device=where,
        input=description,
        notes=(*notes, *_odd_drops(first, "A"), *_odd_drops(second, "B")),
        grid=used,
        order=order,
        tensors=_tensors(reference, first.held, second.held),
        inference=_layers(reference, first.inference, second.inference),
        training=_layers(reference, first.training, second.training),
        statistics=_statistics(reference, first, second),
        bits=first.inference.bits,
    )


def _run(
    network: Network,
    batch: Array,
    *,
    backend: Backend,
    device: Device,
    names: tuple[str, ...],
    reference: NetworkSpec,
    grid: Grid,
    seed: int | None,
) -> _Run:
    with device_of(backend, device):
        model = _model(network, backend, device, names)
        held = model.state()
        bad = [name for name, values in held.items() if not np.isfinite(values).all()]
        if bad:
            raise InexactNetwork(
                f"{network.name} holds NaN or Inf in {len(bad)} tensors, first {bad[0]}; expected finite weights. "
                "Without --exact they are compared all the same."
            )
        state = grid_state(network.spec, held, grid, reference=reference)
        model.load(state)
        trace = Trace(network.spec, state, grid, reference=reference)
        model.run(batch, trace)
        if seed is None:
            return _Run(held=held, inference=trace, training=None, statistics={})
        trained = Trace(network.spec, state, grid, reference=reference, training=True, seed=seed)
        model.run(batch, trained)
        return _Run(held=held, inference=trace, training=trained, statistics=model.updated(reference, state, trained))


def _odd_drops(ran: _Run, letter: str) -> tuple[str, ...]:
    odd = {} if ran.training is None else ran.training.odd
    return tuple(f"In {letter}, {name} {words}." for name, words in odd.items() if words)


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


def _tensors(spec: NetworkSpec, a: Mapping[str, Array], b: Mapping[str, Array]) -> tuple[Bits, ...]:
    return tuple(
        differing_bits(parameter.name, a.get(parameter.name), b.get(parameter.name)) for parameter in parameters(spec)
    )


def _layers(spec: NetworkSpec, a: Trace | None, b: Trace | None) -> tuple[Bits, ...]:
    if a is None or b is None:
        return ()
    return tuple(
        differing_bits(
            layer.name,
            a.values.get(layer.name),
            b.values.get(layer.name),
            margin=min(a.margins.get(layer.name, 0.5), b.margins.get(layer.name, 0.5)),
            is_result=True,
        )
        for layer in layers(spec)
        # In evaluation there may be no layer for what acts in training alone.
        if a.training or layer.kind is not LayerKind.DROP
    )


def _statistics(spec: NetworkSpec, a: _Run, b: _Run) -> tuple[Bits, ...]:
    found: list[Bits] = []
    for parameter in parameters(spec) if a.training is not None else ():
        if parameter.role in (Role.MEAN, Role.VARIANCE):
            (left, near), (right, nearer) = (_coarse(side.statistics[parameter.name]) for side in (a, b))
            found.append(differing_bits(parameter.name, left, right, margin=min(near, nearer)))
    return tuple(found)


def _coarse(values: Array) -> tuple[Array, float]:
    """On a grid that is as fine as the largest value allows."""
    return to_grid(values, _STATISTICS_BITS - int(np.frexp(np.abs(values).max())[1]))
