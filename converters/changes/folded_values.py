"""What the tensors of a folded network are made of, as values that can be computed one at a time.

Each knows the canonical names that it reads, and computes in float64. Layouts are the canonical ones, in all of which
output channels run fastest: HWIO, HWCM with the multiplier 1, IO, and rows of these for experts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.formats.base import Array
from effnet_core import EffnetError

Read = Callable[[str], Array]
"""Canonical name -> array, which may be gone at the next call."""
_WIDE = np.dtype(np.float64)


class CannotFold(EffnetError):
    """A normalisation divides by zero, by the root of a negative number, or by no number."""


@dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """A normalisation by its moving statistics: y = x * scale + shift."""

    layer: str
    """Canonical path."""
    epsilon: float

    def scale(self, read: Read) -> Array:
        """For each channel, in float64. Raises `CannotFold`."""
        variance = _wide(read, f"{self.layer}.variance") + self.epsilon
        if not (variance > 0).all():
            bad = int(np.count_nonzero(~(variance > 0)))
            raise CannotFold(
                f"{self.layer} cannot be folded: of {variance.size} running variances, {bad} are not above zero with "
                f"the epsilon {self.epsilon:g} added. Take a checkpoint from before the training diverged."
            )
        return _wide(read, f"{self.layer}.gamma") / np.sqrt(variance)

    def shift(self, read: Read) -> Array:
        """For each channel, in float64. Raises `CannotFold`."""
        return _wide(read, f"{self.layer}.beta") - _wide(read, f"{self.layer}.mean") * self.scale(read)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A tensor of the network before folding."""

    name: str

    def computed(self, read: Read, dtype: np.dtype[Any]) -> Array:
        """The array, a new one in that type; so for all here."""
        return np.array(read(self.name), dtype=dtype, order="C")


@dataclass(frozen=True, kw_only=True)
class ScaledOutputs:
    """A kernel with a normalisation behind it."""

    kernel: Values
    norm: BatchNorm

    def computed(self, read: Read, dtype: np.dtype[Any]) -> Array:
        """The kernel times the scale, along the output channels."""
        scale = self.norm.scale(read)
        # Products of whole tensors are in memory once: numpy widens and rounds a block at a time.
        kernel = _as_it_is(self.kernel, read)
        result = np.empty(kernel.shape, dtype)
        rows, into = (array.reshape(-1, scale.size) for array in (kernel, result))
        np.multiply(rows, scale, out=into, casting="same_kind")
        return result


@dataclass(frozen=True, kw_only=True)
class ScaledInputs:
    """A dense kernel with a normalisation before it."""

    kernel: Values
    norm: BatchNorm

    def computed(self, read: Read, dtype: np.dtype[Any]) -> Array:
        """The kernel times the scale, along the inputs."""
        scale = self.norm.scale(read)
        return np.array(_as_it_is(self.kernel, read) * scale[:, None], dtype=dtype)


@dataclass(frozen=True, kw_only=True)
class ShiftedBias:
    """The bias of a layer with a normalisation behind it."""

    bias: Values | None
    norm: BatchNorm

    def computed(self, read: Read, dtype: np.dtype[Any]) -> Array:
        """The bias times the scale, plus the shift."""
        shift = self.norm.shift(read)
        if self.bias is None:
            return shift.astype(dtype)
        return (self.bias.computed(read, _WIDE) * self.norm.scale(read) + shift).astype(dtype)


@dataclass(frozen=True, kw_only=True)
class CarriedBias:
    """The bias of a dense layer with a normalisation before it."""

    bias: Values | None
    kernel: Values
    """Before it is scaled."""
    norm: BatchNorm

    def computed(self, read: Read, dtype: np.dtype[Any]) -> Array:
        """The bias, plus the shift through the kernel."""
        carried = self.norm.shift(read) @ self.kernel.computed(read, _WIDE)
        return (carried if self.bias is None else carried + self.bias.computed(read, _WIDE)).astype(dtype)


Values = Stored | ScaledOutputs | ScaledInputs | ShiftedBias | CarriedBias


def _wide(read: Read, name: str) -> Array:
    return np.array(read(name), dtype=_WIDE)


def _as_it_is(values: Values, read: Read) -> Array:
    """A stored array in its own type, for what widens it a block at a time; a computed one in float64."""
    if isinstance(values, Stored):
        array = read(values.name)
        return array if array.dtype.kind == "f" else array.astype(np.float32)  # bfloat16 is none of numpy's own types
    return values.computed(read, _WIDE)
