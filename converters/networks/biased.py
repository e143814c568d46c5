"""Convolutions with a bias in front of a norm: the norm subtracts its mean, in which the bias is, and so undoes it.

No EfficientNet has one. People who put in a convolution of their own, for other input channels say, forget to leave the
bias out; the same network without it has a mean that is less by the bias.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from converters.dialects import Dialect
from converters.errors import some_of
from converters.formats.around import ReaderAround
from converters.formats.base import Array, Reader
from converters.names.naming import Entry
from effnet_core import EffnetError, Role

_KERNEL, _MEAN = ".conv.kernel", ".norm.mean"
"""Ends of canonical names; what stands before them is the same for a convolution and the norm behind it."""


class HasBiases(EffnetError):
    """A file whose only tensors too many are biases of convolutions in front of norms."""

    def __init__(self, biases: Mapping[str, str]) -> None:
        """`biases` are the names of the norms' means in the file, each with that of the bias in front."""
        super().__init__(f"Convolutions have a bias: {some_of([*biases.values()])}.")
        self.biases = dict(biases)
        self.note = (
            f"Convolutions in front of norms have a bias ({some_of([*biases.values()])}), which no EfficientNet has: "
            "taken from the mean of the norm behind, which gives the same logits."
        )


def find_biases(
    reader: Reader, dialect: Dialect, entries: Iterable[Entry], chosen: Mapping[str, str], unexpected: Iterable[str]
) -> dict[str, str]:
    """The norms' means, each with the bias of the convolution in front of it, by their names in the file.

    `chosen` are the file's names of the variables that the `entries` name. Empty unless these biases are all of what
    is `unexpected`.
    """
    own = {entry.parameter.name: entry for entry in entries}
    leaf = {role: dialect.separator + name for role, name in dialect.leaves.items()}
    found: dict[str, str] = {}
    for name, kernel in own.items():
        norm = own.get(name.removesuffix(_KERNEL) + _MEAN) if name.endswith(_KERNEL) else None
        mean = None if norm is None else chosen.get(norm.name)
        layer = chosen.get(kernel.name, "").removesuffix(leaf[kernel.parameter.role])
        if mean is not None and (bias := layer + leaf[Role.BIAS]) in reader.tensors and _alike(reader, mean, bias):
            found[mean] = bias
    return found if sorted(found.values()) == sorted(unexpected) else {}


def _alike(reader: Reader, mean: str, bias: str) -> bool:
    return reader.tensors[mean].shape == reader.tensors[bias].shape and reader.tensors[bias].dtype.kind == "f"


class UnbiasedReader(ReaderAround):
    """Another reader without biases in front of norms, whose means are less by them."""

    def __init__(self, reader: Reader, biases: Mapping[str, str]) -> None:
        super().__init__(reader)
        self._biases = dict(biases)
        hidden = set(biases.values())
        self.tensors = {name: info for name, info in reader.tensors.items() if name not in hidden}

    def held(self, name: str) -> str | None:
        """The same; None for a mean behind a bias."""
        return None if name in self._biases else name

    def made(self, name: str) -> Array:
        """The mean, less by the bias."""
        mean = self._reader.read(name).astype(np.float64)
        return (mean - self._reader.read(self._biases[name])).astype(self.tensors[name].dtype)
