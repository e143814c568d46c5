"""What happens at every layer of a network that runs on a grid: checked, rounded, remembered. numpy alone.

Both frameworks give this the inputs and the output of each of their layers, channels last, and go on with what they get
back. So rounding is one piece of code, and everything else is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from zlib import crc32

import numpy as np

from effnet.errors import InexactNetwork
from effnet.parity_engine.grid import MANTISSA, Array, Grid, norm_of, to_grid, unit
from effnet_core import Layer, LayerKind, NetworkSpec, Parameter, Role, layers, parameters

_DRAWS = 4096
"""How often a layer that drops is asked for a part that stays, or goes, as the mask says, at most."""
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
        self.training = training
        self._layers = {layer.name: layer for layer in layers(spec)}
        self._parameters = _by_layer(spec)
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
        if layer.kind is LayerKind.LINEAR and not name.startswith("hidden."):
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

        The layer draws until everything that is to stay has stayed once, and something that is to go has gone.
        """
        stays = self.mask(name, branch.shape) == 1
        result, found, has_gone = np.zeros_like(branch), np.zeros(branch.shape, dtype=bool), bool(stays.all())
        for _ in range(_DRAWS):
            drawn = again(branch)
            kept = drawn != 0
            result = np.where(stays & kept & ~found, drawn, result)
            found |= kept
            has_gone |= bool((~stays & ~kept & (branch != 0)).any())
            if has_gone and (found | ~stays | (branch == 0)).all():
                return result
        raise InexactNetwork(
            f"{name} was run {_DRAWS} times in training and never {'kept' if has_gone else 'dropped'} what it was to; "
            "expected a rate above 0 and below 1."
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


def _by_layer(spec: NetworkSpec) -> dict[str, Parameter]:
    """The first parameter of each layer: its kernel, where it is linear."""
    found: dict[str, Parameter] = {}
    for parameter in parameters(spec):
        found.setdefault(parameter.layer, parameter)
    return found


def _bits(largest: float, step: float) -> float:
    return float(np.log2(largest / step)) if largest > 0 and np.isfinite(step) else 0.0


def _largest(values: Array) -> float:
    return float(np.abs(values).max())
