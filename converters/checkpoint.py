"""An open checkpoint: a file whose format, names and network are known, and every tensor accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from converters.dialects import Dialect
from converters.formats.base import Array, Reader, Scratch
from converters.layouts import inverse, permuted
from converters.names.naming import Entry
from effnet_core import NetworkSpec


class Source(NamedTuple):
    """A tensor of the network and where the file holds it."""

    entry: Entry
    name: str
    """The name in the file, with its prefix, of the variable or of its moving average."""


class Checkpoint(AbstractContextManager["Checkpoint"]):
    """A checkpoint whose every tensor has a place in the network, or a reason to be ignored."""

    def __init__(
        self,
        *,
        reader: Reader,
        dialect: Dialect,
        spec: NetworkSpec,
        sources: tuple[Source, ...],
        uses_ema: bool,
        ignored: Mapping[str, str],
        notes: tuple[str, ...],
    ) -> None:
        self.reader = reader
        self.path = reader.path
        self.format = reader.format
        self.dialect = dialect
        self.spec = spec
        self.sources = sources
        """The network's tensors in forward order."""
        self.uses_ema = uses_ema
        self.has_averages = uses_ema
        """Whether the file holds moving averages, taken or not, as a set of its own."""
        self.ignored = ignored
        """Names of every other entry of the file, each with the reason why it was not taken."""
        self.notes = notes
        """What was found or decided, a sentence each."""
        self._scratch = Scratch()

    def read(self, source: Source) -> Array:
        """The canonical array of one of `sources`, in C order; it is valid until the next `read` or `close`."""
        entry = source.entry
        array = self.reader.read(source.name).reshape(entry.foreign_unfolded)
        return permuted(array, inverse(entry.axes), scratch=self._scratch).reshape(entry.parameter.shape)

    def state(self) -> dict[str, Array]:
        """The canonical state: name to array in TensorFlow's layout, each an array of its own."""
        return {source.entry.parameter.name: np.array(self.read(source), order="C") for source in self.sources}

    def close(self) -> None:
        """Close the file."""
        self.reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
