"""Two networks in exact arithmetic: not one bit may differ.

The models that the backends build are run on a grid (`effnet.parity_engine.grid`), in evaluation and in training, and
every single layer's result is compared bit for bit, so that whatever differs is a difference of meaning, in the layer
that is named. The weights themselves are compared bit for bit before they are put on the grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters import SourceOptions
from effnet.backends import Array, Network
from effnet.choices import Backend, Device
from effnet.errors import InputError
from effnet.frameworks import check_trainable, import_frameworks
from effnet.isolation import exact as separate
from effnet.parity_engine.bits import UNROUNDED, Bits, differing_bits
from effnet.parity_engine.exact_run import ExactRequest, ExactRun, Traced, run_exactly
from effnet.parity_engine.grid import Grid, to_grid
from effnet.parity_engine.pair import Processes, workers
from effnet.parity_engine.run import Given, RandomInput, Side, chosen_backends, given_input, one_framework, opened, side
from effnet.parity_engine.specs import check_both_normalised, check_comparable, common_endpoints, up_to_common_end
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
    seed: int | None
    """Of the masks in training; None without training."""
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
            found = [self.layer_of(item.name) for item in part if item.differing]
            if found:
                return min(found, key=places.__getitem__)
        return None

    def layer_of(self, name: str) -> str:
        """The layer of a result or of a tensor."""
        if name in self.order:
            return name
        layer = name.rpartition(".")[0]
        return "logits" if layer == "classifier" else layer


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
    processes: Processes | None = None,
) -> ExactReport:
    """Run two checkpoints, or networks in memory, where every sum is exact, and count the bits that differ.

    Arguments are those of `effnet.parity`. With `training`, both run in training mode too: normalisations with the
    statistics of the batch, drop-connect and dropout with masks from `seed`, and the moving statistics are compared
    after it. The networks keep their real weights up to `grid`, which says how many bits are left of them. `processes`
    says whether each runs in a process of its own, as in `parity`.

    Raises `InexactNetwork` where numbers need more bits than a float64 has, or are not finite, or a variance is so
    negative that it has no root, `IncomparableNetworks` where one network alone is folded, and what `parity` raises.
    """
    where, used = Device(device), Grid() if grid is None else grid
    network_a, network_b = opened(a, a_options), opened(b, b_options)
    backends = chosen_backends(network_a, network_b, a_backend, b_backend)
    check_trainable(backends, wanted="Exact arithmetic")
    notes = check_comparable(network_a.spec, network_b.spec)
    check_both_normalised(network_a.spec, network_b.spec, wanted="exact arithmetic")
    reference = up_to_common_end(network_a.spec, network_b.spec)[0]
    names = common_endpoints(network_a.spec, network_b.spec)
    batch, description = given_input(RandomInput() if inputs is None else inputs, network_a.spec)
    if training and len(batch) < 2:
        raise InputError("The statistics of a batch need at least 2 images; found 1. Give more, or leave training out.")
    apart = workers((network_a, network_b), backends, Processes() if processes is None else processes)
    request = ExactRequest(
        batch=batch, names=names, reference=network_a.spec, grid=used, seed=seed if training else None
    )
    if apart is None:
        import_frameworks(backends)
    first, second = (
        run_exactly(network, request, backend=backend, device=where)
        if worker is None
        else separate.run_elsewhere(worker, network, request, backend=backend, device=where)
        for network, backend, worker in zip(
            (network_a, network_b), backends, (None, None) if apart is None else apart.workers, strict=True
        )
    )
    order = tuple(layer.name for layer in layers(reference))
    return ExactReport(
        a=side(network_a, backends[0]),
        b=side(network_b, backends[1]),
        device=where,
        input=description,
        notes=(
            *notes,
            *one_framework(backends, (a_backend, b_backend)),
            *_odd_drops(first, "A"),
            *_odd_drops(second, "B"),
            *(() if apart is None else (apart.note,)),
        ),
        grid=used,
        seed=seed if training else None,
        order=order,
        tensors=_tensors(reference, first.held, second.held),
        inference=_layers(reference, first.inference, second.inference, in_training=False),
        training=_layers(reference, first.training, second.training, in_training=True),
        statistics=_statistics(reference, first, second),
        bits=first.inference.bits,
    )


def _odd_drops(ran: ExactRun, letter: str) -> tuple[str, ...]:
    if ran.training is None:
        return ()
    return tuple(f"In {letter}, {name} {words}." for name, words in ran.training.odd.items() if words)


def _tensors(spec: NetworkSpec, a: Mapping[str, Array], b: Mapping[str, Array]) -> tuple[Bits, ...]:
    return tuple(
        differing_bits(parameter.name, a.get(parameter.name), b.get(parameter.name)) for parameter in parameters(spec)
    )


def _layers(spec: NetworkSpec, a: Traced | None, b: Traced | None, *, in_training: bool) -> tuple[Bits, ...]:
    if a is None or b is None:
        return ()
    return tuple(
        differing_bits(
            layer.name,
            a.values.get(layer.name),
            b.values.get(layer.name),
            margin=min(a.margins.get(layer.name, UNROUNDED), b.margins.get(layer.name, UNROUNDED)),
            is_result=True,
        )
        for layer in layers(spec)
        # In evaluation there may be no layer for what acts in training alone.
        if in_training or layer.kind is not LayerKind.DROP
    )


def _statistics(spec: NetworkSpec, a: ExactRun, b: ExactRun) -> tuple[Bits, ...]:
    found: list[Bits] = []
    for parameter in parameters(spec) if a.training is not None else ():
        if parameter.role in (Role.MEAN, Role.VARIANCE):
            (left, near), (right, nearer) = (_coarse(side.statistics[parameter.name]) for side in (a, b))
            found.append(differing_bits(parameter.name, left, right, margin=min(near, nearer)))
    return tuple(found)


def _coarse(values: Array) -> tuple[Array, float]:
    """On a grid that is as fine as the largest value allows."""
    return to_grid(values, _STATISTICS_BITS - int(np.frexp(np.abs(values).max())[1]))
