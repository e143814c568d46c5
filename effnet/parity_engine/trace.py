"""What happens at every layer of a network that runs on a grid: checked, rounded, remembered. numpy alone.

Both frameworks give this the inputs and the output of each of their layers, channels last, and go on with what they get
back. So rounding is one piece of code, and everything else is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import ceil
from zlib import crc32

import numpy as np

from effnet.errors import InexactNetwork
from effnet.parity_engine.grid import MANTISSA, Array, Grid, norm_of, to_grid, unit
from effnet_core import Layer, LayerKind, NetworkSpec, Parameter, Role, layers, parameters

_DRAWS = 4096
"""How often a layer that drops is asked for a part that stays, or goes, as the mask says, at most."""
_PROBES, _LEAST_DRAWS, _EVENTS = 256, 4, 400
"""Samples of a draw that tells how a layer drops, draws at the least, and samples that are to be dropped in all."""
_TRIES = 64
_DEVIATIONS = 6
"""Standard deviations by which the number of dropped samples may be off: chance exceeds them once in 10^9 layers."""
_COLUMNS = {Role.CONV: (0, 1, 2), Role.DEPTHWISE: (0, 1, 3), Role.DENSE: (0,), Role.ROUTING: (0,)}
"""Axes over which the products of one output are summed."""


class Trace:
    """The results of one network's layers, by name, in forward order."""

    def __init__(
        self,
        spec: NetworkSpec,
        state: Mapping[str, Array],
        grid: Grid,
        *,
        reference: NetworkSpec,
        training: bool = False,
        seed: int = 0,
    ) -> None:
        self.values: dict[str, Array] = {}
        self.margins: dict[str, float] = {}
        """How near the layer's numbers came to a boundary of the grid, in steps; absent where nothing was rounded."""
        self.bits: dict[str, float] = {}
        """Of each layer with weights: how many its sums need to be exact."""
        self.rows: dict[str, int] = {}
        """Of each normalisation: over how many numbers a channel's statistics were taken."""
        self.odd: dict[str, str] = {}
        """Of each layer that drops: what it does otherwise than the definition says, empty where nothing."""
        self.training = training
        self._layers = {layer.name: layer for layer in layers(spec)}
        self._parameters = _by_layer(spec)
        self._ends = _ends(spec)
        self._state, self._grid, self._reference, self._seed = state, grid, reference, seed

    def __contains__(self, name: str) -> bool:
        return name in self._layers

    def layer(self, name: str, inputs: Sequence[Array], output: Array, again: Callable[[Array], Array]) -> Array:
        """What the network goes on with in place of `output`. `again` runs the layer on another first input.

        Raises `InexactNetwork` where a sum needs more bits than a float64 has.
        """
        layer, grid = self._layers[name], self._grid
        if layer.kind in (LayerKind.LINEAR, LayerKind.NORM):
            self._check(layer, inputs)
        if layer.kind is LayerKind.DROP and self.training:
            output = self._dropped(name, inputs[0], again)
        is_exact = layer.kind is LayerKind.LINEAR and not name.startswith("hidden.")
        if is_exact and name not in self._ends:
            result = output + 0.0  # no negative zero: whether a sum gives one depends on its order
        else:
            bits = grid.mixture if layer.kind is LayerKind.MIXTURE else grid.activations
            result, self.margins[name] = to_grid(output, bits)
        self.values[name] = result
        return result

    def mask(self, name: str, shape: tuple[int, ...]) -> Array:
        """What stays in training, 1 or 0, from the seed and the layer's name; of a drop-connect, whole samples."""
        random = np.random.default_rng([self._seed, crc32(name.encode())])
        if not name.endswith(".drop_connect"):
            return random.integers(0, 2, shape).astype(np.float64)
        samples = np.arange(shape[0]) % 2
        return np.broadcast_to(random.permutation(samples).reshape(-1, *[1] * (len(shape) - 1)), shape).astype(float)

    def _dropped(self, name: str, branch: Array, again: Callable[[Array], Array]) -> Array:
        """What the layer itself makes of its input, with its own rate, except that the mask says what stays.

        The layer draws until everything that is to stay has stayed once. One that does not drop as the definition says,
        in what it drops at once or how often, gives nothing at all here, so that it differs from one that does.
        """
        self.odd[name] = odd_drops(again, ndim=branch.ndim, by_sample=name.endswith(".drop_connect"))
        if self.odd[name]:
            return np.zeros_like(branch)
        stays = self.mask(name, branch.shape) == 1
        result, found = np.zeros_like(branch), np.zeros(branch.shape, dtype=bool)
        for _ in range(_DRAWS):
            drawn = again(branch)
            kept = drawn != 0
            result = np.where(stays & kept & ~found, drawn, result)
            found |= kept
            if (found | ~stays | (branch == 0)).all():
                return result
        raise InexactNetwork(
            f"{name} was run {_DRAWS} times in training and never kept what it was to; expected a rate below 1."
        )

    def _check(self, layer: Layer, inputs: Sequence[Array]) -> None:
        if layer.kind is LayerKind.NORM:
            self.rows[layer.name] = inputs[0].size // inputs[0].shape[-1]
            if self.training:
                return  # statistics of a batch are no multiples of anything; their result is rounded
        if not all(np.isfinite(values).all() for values in inputs):
            return
        bits = self._norm_bits(layer, inputs[0]) if layer.kind is LayerKind.NORM else self._sum_bits(layer, inputs)
        self.bits[layer.name] = bits
        if bits > MANTISSA:
            raise InexactNetwork(
                f"{layer.name} needs {bits:.1f} bits for an exact sum on this grid, and a float64 has {MANTISSA}. "
                f"Take a coarser one: --grid-bits below {self._grid.activations}, or inputs that are smaller."
            )

    def _sum_bits(self, layer: Layer, inputs: Sequence[Array]) -> float:
        """Of the largest sum of products that can occur, counted in the unit of the products."""
        kernel, bias = self._parameters[layer.weights], f"{layer.weights}.bias"
        weights = np.abs(self._state[kernel.name])
        largest, step = _largest(inputs[0]), unit(inputs[0]) * unit(weights)
        if kernel.expert_shape is not None:
            weights = np.tensordot(np.abs(inputs[1]), weights, 1).reshape(-1, *kernel.expert_shape)
            step *= unit(inputs[1])
            total = weights.sum((1, 2, 3) if kernel.role is Role.EXPERTS else (1, 2)).max()
        else:
            axes = _COLUMNS[kernel.role][: 2 if kernel.role is Role.DEPTHWISE else None]
            total = weights.sum(axes).max()
        added = self._state.get(bias, np.zeros(1))
        return _bits(largest * float(total) + _largest(added), min(step, unit(added)))

    def _norm_bits(self, layer: Layer, x: Array) -> float:
        """Of the largest channel, whether the mean is taken off first or multiplied out."""
        gamma, beta, mean, variance = (
            self._state[f"{layer.weights}.{leaf}"] for leaf in ("gamma", "beta", "mean", "variance")
        )
        scale = 1 / np.sqrt(variance + norm_of(self._reference, layer.weights).epsilon)
        channels = np.abs(x).reshape(-1, x.shape[-1]).max(0)
        step = min(unit(x), unit(mean)) * unit(gamma) * scale
        sums = (channels + np.abs(mean)) * np.abs(gamma) * scale + np.abs(beta)
        return max(_bits(float(one), min(float(of), unit(beta))) for one, of in zip(sums, step, strict=True))


def odd_drops(again: Callable[[Array], Array], *, ndim: int, by_sample: bool) -> str:
    """What a layer that drops does otherwise than it should, in words; empty where it does nothing otherwise.

    It runs on ones. A drop-connect drops whole samples, each by itself, a dropout single values; what is kept is
    divided by the share that stays, which therefore says how often the layer has to drop.
    """
    ones = np.ones((_PROBES, 2, 2, 4) if ndim == 4 else (_PROBES, 16))
    # Where nothing at all stays, once in a while, the next draw says by what is divided.
    scale = next((largest for _ in range(_TRIES) if (largest := float(again(ones).max())) > 0), 0.0)
    share = 1 / scale if scale > 0 else 0.0
    if not 0 < share < 1:
        return "never drops anything" if share == 1 else f"multiplies what it keeps by {scale:g}"
    draws = min(_DRAWS, max(_LEAST_DRAWS, ceil(_EVENTS / (_PROBES * (1 - share)))))
    kept = np.stack([(again(ones) != 0).reshape(_PROBES, -1) for _ in range(draws)])  # (draws, samples, values)
    mixed = (kept.any(2) != kept.all(2)).any()
    if by_sample and mixed:
        return "drops single values, not whole samples"
    if not by_sample and not mixed:
        return "drops whole samples, not single values"
    chosen = kept[:, :, 0] if by_sample else kept.reshape(draws, -1)
    if (chosen.any(1) == chosen.all(1)).all():
        return "drops the whole batch at once"
    expected, deviation = share * chosen.size, np.sqrt(share * (1 - share) * chosen.size)
    if abs(int(chosen.sum()) - expected) > _DEVIATIONS * deviation:
        return f"keeps {chosen.mean():.3g} of what it is given, and divides it by {share:.3g}"
    return ""


def _by_layer(spec: NetworkSpec) -> dict[str, Parameter]:
    """The first parameter of each layer: its kernel, where it is linear."""
    found: dict[str, Parameter] = {}
    for parameter in parameters(spec):
        found.setdefault(parameter.layer, parameter)
    return found


def _ends(spec: NetworkSpec) -> frozenset[str]:
    """Convolutions that are the last step of a block: with its normalisation folded and no residual, what they give is
    the block's output. It is rounded as every output is, here, because not every framework has a layer for such an end.
    """
    names = [layer.name for layer in layers(spec)]
    paths = {f"blocks.{index}" for index, block in enumerate(spec.blocks) if not block.has_residual}
    return frozenset(before for before, name in pairwise(names) if name in paths and before.endswith(".conv"))


def _bits(largest: float, step: float) -> float:
    return float(np.log2(largest / step)) if largest > 0 and np.isfinite(step) else 0.0


def _largest(values: Array) -> float:
    return float(np.abs(values).max())
