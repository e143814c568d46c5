"""What can happen to one tensor on the way into an adapted network.

An edit acts along one axis of the canonical array, wherever a file's layout has that axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from zlib import crc32

import numpy as np

from converters.formats.base import Array
from converters.layouts import cast
from effnet_core import Constant, Normal, Parameter, Uniform, initializer


@dataclass(frozen=True, kw_only=True)
class CutFirst:
    """Leave the first slice out."""

    axis: int

    def apply(self, array: Array, axis: int) -> Array:
        """The array without its first slice along `axis`, which is this edit's in the array's layout."""
        return np.delete(array, 0, axis)


@dataclass(frozen=True, kw_only=True)
class SumInputs:
    """Add the slices up: a grey image, which would be the same in each of them, gives what it gave before.

    Source: timm, models/_manipulate.py, adapt_input_conv.
    """

    axis: int

    def apply(self, array: Array, axis: int) -> Array:
        """One slice, added up in order, in float32 at least."""
        total, *others = np.split(_wide(array), array.shape[axis], axis)
        for slice_ in others:
            total = total + slice_
        return cast(total, array.dtype)


@dataclass(frozen=True, kw_only=True)
class RepeatInputs:
    """Repeat the slices, cut them to `count`, and scale them so that their sum stays about the same.

    Source: timm, as above: repeated ceil(count / 3) times and scaled by 3 / count.
    """

    axis: int
    count: int

    def apply(self, array: Array, axis: int) -> Array:
        """`count` slices, scaled in float32 at least."""
        before = array.shape[axis]
        repeated = np.concatenate([_wide(array)] * ceil(self.count / before), axis)
        kept = np.take(repeated, range(self.count), axis)
        return cast(kept * kept.dtype.type(before / self.count), array.dtype)


@dataclass(frozen=True, kw_only=True)
class Draw:
    """A tensor as training starts it, from a seed of its own."""

    parameter: Parameter
    seed: int

    def values(self, dtype: np.dtype[np.generic]) -> Array:
        """The canonical array: `effnet_core.initializer`, from numpy's PCG64 seeded with the seed and the name."""
        random = np.random.default_rng([self.seed, crc32(self.parameter.name.encode())])
        match initializer(self.parameter):
            case Normal(stddev=stddev):
                drawn = random.normal(0, stddev, self.parameter.shape)
            case Uniform(limit=limit):
                drawn = random.uniform(-limit, limit, self.parameter.shape)
            case Constant(value=value):
                drawn = np.full(self.parameter.shape, value)
        return cast(drawn, dtype)


Edit = CutFirst | SumInputs | RepeatInputs | Draw


def _wide(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array
