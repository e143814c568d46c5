"""What one of two networks could do otherwise: the usual mistakes of ports, each as a changed network or input.

A mistake may be in one layer or everywhere, so that a network is changed in both ways. Every change is one of the
definition and of the weights alone, and what runs is the backend's ordinary network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from converters import Ema
from effnet.backends import Array, Network
from effnet.loading import read_source
from effnet.parity_engine.activations import activation_of, with_activation, with_activations
from effnet.parity_engine.input_rules import prepared_otherwise
from effnet_core import (
    Activation,
    EffnetError,
    NetworkSpec,
    Padding,
    Parameter,
    Role,
    output_size,
    padding_amounts,
    parameters,
    without_head,
)

EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6)
"""TensorFlow's EfficientNets have 1e-3, PyTorch's and Keras' own layers 1e-5 and 1e-3, others' what is between."""
_SPATIAL = (Role.CONV, Role.DEPTHWISE, Role.EXPERTS, Role.DEPTHWISE_EXPERTS)


class Suspect(StrEnum):
    """A usual cause."""

    PADDING = "padding"
    EPSILON = "epsilon"
    ACTIVATION = "activation"
    AVERAGES = "moving averages"
    NORMALISATION = "input normalisation"


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One suspicion, ready to be run."""

    suspect: Suspect
    words: str
    """What the network does then: "is padded symmetrically"."""
    here: Network
    """Changed at the layer in question alone, as far as that can be."""
    everywhere: Network | None
    """Changed in every layer; None where there is but one way."""
    batch: Array
    """The input (N, H, W, C) that belongs to it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a network is to be changed."""

    layer: str
    """An endpoint."""
    is_first: bool
    """Whether nothing that was compared comes before it."""
    size: tuple[int, int] | None
    """Height and width of its input in pixels; None where it has no image."""


def hypotheses(network: Network, other: NetworkSpec, place: Place, batch: Array) -> Iterator[Hypothesis]:
    """What `network` could do otherwise at a layer that is not as in the network of `other`."""
    yield from _paddings(network, place, batch)
    yield from _epsilons(network, other, place, batch)
    yield from _activations(network, place, batch)
    yield from _averages(network, batch)
    if place.is_first:
        yield from _normalisations(network, batch)


def up_to(network: Network, layer: str) -> Network:
    """The network without the blocks and the head that follow a layer, so that it takes no longer than need be."""
    if layer != "stem" and not layer.startswith("blocks."):
        return network
    last = 0 if layer == "stem" else int(layer.split(".")[1])
    spec = replace(without_head(network.spec), blocks=network.spec.blocks[: last + 1])
    names = [parameter.name for parameter in parameters(spec)]
    return replace(network, spec=spec, state={name: network.state[name] for name in names})


def _paddings(network: Network, place: Place, batch: Array) -> Iterator[Hypothesis]:
    spec = network.spec
    found = _strided(spec, place.layer)
    if found is None or place.size is None:
        return
    kernel, stride = found
    wanted = Padding.SYMMETRIC if spec.padding is Padding.SAME else Padding.SAME
    size = _kernel_size(kernel)
    amounts = [
        [padding_amounts(side, kernel_size=size, stride=stride, padding=padding) for side in place.size]
        for padding in (spec.padding, wanted)
    ]
    sizes = [
        [output_size(side, kernel_size=size, stride=stride, padding=padding) for side in place.size]
        for padding in (spec.padding, wanted)
    ]
    if amounts[0] == amounts[1] or sizes[0] != sizes[1]:
        return
    words = "symmetrically" if wanted is Padding.SYMMETRIC else "as TensorFlow's SAME does, the odd pixel after"
    yield Hypothesis(
        suspect=Suspect.PADDING,
        words=f"is padded {words}",
        here=_shifted(network, place, kernel, stride, amounts[1]),
        everywhere=replace(network, spec=replace(spec, padding=wanted)),
        batch=batch,
    )


def _shifted(network: Network, place: Place, kernel: Parameter, stride: int, wanted: list[tuple[int, int]]) -> Network:
    """The network with other padding at one layer: its kernel, larger by two, is zero where it must not look.

    A definition has one padding for all its layers. A larger kernel is padded more, and shifting the numbers within it
    moves where they look.
    """
    size, sides = _kernel_size(kernel), place.size or ()
    larger = [
        padding_amounts(side, kernel_size=size + 2, stride=stride, padding=network.spec.padding)[0] for side in sides
    ]
    offsets = [now - before for now, (before, _) in zip(larger, wanted, strict=True)]
    margins = [(offset, 2 - offset) for offset in offsets]
    values = network.state[kernel.name]
    if kernel.expert_shape is None:
        changed = np.pad(values, [*margins, (0, 0), (0, 0)])
    else:
        experts = values.reshape(-1, *kernel.expert_shape)
        changed = np.pad(experts, [(0, 0), *margins, (0, 0), (0, 0)]).reshape(len(experts), -1)
    spec = network.spec
    if kernel.block is None:
        spec = replace(spec, stem=replace(spec.stem, kernel_size=size + 2))
    else:
        blocks = list(spec.blocks)
        blocks[kernel.block] = replace(blocks[kernel.block], kernel_size=size + 2)
        spec = replace(spec, blocks=tuple(blocks))
    return replace(network, spec=spec, state={**network.state, kernel.name: changed})


def _strided(spec: NetworkSpec, layer: str) -> tuple[Parameter, int] | None:
    """The kernel of a layer that may skip pixels, and its stride."""
    kernels = [parameter for parameter in _of(spec, layer) if parameter.role in _SPATIAL]
    if not kernels:
        return None
    kernel = kernels[0]
    stride = spec.stem.stride if kernel.block is None else spec.blocks[kernel.block].stride
    return (kernel, stride) if _kernel_size(kernel) > 1 and stride > 1 else None


def _kernel_size(kernel: Parameter) -> int:
    return kernel.shape[0] if kernel.expert_shape is None else kernel.expert_shape[0]


def _epsilons(network: Network, other: NetworkSpec, place: Place, batch: Array) -> Iterator[Hypothesis]:
    spec, norm = network.spec, network.spec.norm
    variances = [
        parameter.name
        for parameter in _of(spec, place.layer)
        if parameter.role is Role.VARIANCE and parameter.hidden is None
    ]
    if not variances or norm is None:
        return
    own, others = norm.epsilon, () if other.norm is None else (other.norm.epsilon,)
    for epsilon in dict.fromkeys((*others, *EPSILONS)):
        if epsilon != own:
            # A definition has one epsilon; what is added to it at one layer may as well be added to the variance.
            moved = {name: network.state[name].astype(np.float64) + (epsilon - own) for name in variances}
            yield Hypothesis(
                suspect=Suspect.EPSILON,
                words=f"normalises with epsilon {epsilon:g}",
                here=replace(network, state={**network.state, **moved}),
                everywhere=replace(network, spec=replace(spec, norm=replace(norm, epsilon=epsilon))),
                batch=batch,
            )


def _activations(network: Network, place: Place, batch: Array) -> Iterator[Hypothesis]:
    own = activation_of(network.spec, place.layer)
    for activation in Activation if own is not None else ():
        if activation is own:
            continue
        yield Hypothesis(
            suspect=Suspect.ACTIVATION,
            words=f"has the activation {activation}",
            here=replace(network, spec=with_activation(network.spec, place.layer, activation)),
            everywhere=replace(network, spec=with_activations(network.spec, own, activation)),
            batch=batch,
        )


def _averages(network: Network, batch: Array) -> Iterator[Hypothesis]:
    """The other weights of a file that holds variables and their moving averages."""
    words = {
        Ema.ALWAYS: "takes the moving averages of its file (ema='always'), not the variables",
        Ema.NEVER: "takes the variables of its file (ema='never'), not their moving averages",
    }
    held = {ema: found for ema in words if (found := _reread(network, ema)) is not None}
    for ema, found in held.items():
        others = [other for policy, other in held.items() if policy is not ema]
        # Weights that were changed since they were read are not those of the file.
        if any(_same(other, network) for other in others) and not _same(found, network):
            yield Hypothesis(suspect=Suspect.AVERAGES, words=words[ema], here=found, everywhere=None, batch=batch)


def _reread(network: Network, ema: Ema) -> Network | None:
    """The network of the same file with that choice; None where there is none, or no file any more."""
    if network.source is None:
        return None
    try:
        return read_source(network.source._replace(options=replace(network.source.options, ema=ema)))
    except (EffnetError, OSError):
        return None


def _same(a: Network, b: Network) -> bool:
    return a.spec == b.spec and all(np.array_equal(a.state[name], b.state[name]) for name in a.state)


def _normalisations(network: Network, batch: Array) -> Iterator[Hypothesis]:
    """The input prepared otherwise from the same pixels, or prepared once more."""
    for words, changed in prepared_otherwise(network.spec.preprocessing, batch.astype(np.float64)):
        yield Hypothesis(
            suspect=Suspect.NORMALISATION, words=words, here=network, everywhere=None, batch=np.asarray(changed)
        )


def _of(spec: NetworkSpec, layer: str) -> list[Parameter]:
    """The tensors that act in a layer."""
    return [parameter for parameter in parameters(spec) if belongs(parameter, layer)]


def belongs(parameter: Parameter, layer: str) -> bool:
    """Whether a tensor acts in the layer of an endpoint."""
    if layer == "logits":
        return parameter.layer == "classifier"
    if parameter.block is not None and layer.count(".") < 2:
        return False  # what a block's end adds to its last part has no weights
    return parameter.layer == layer or parameter.layer.startswith(f"{layer}.")
