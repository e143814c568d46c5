"""An open checkpoint: a file whose format, names and network are known, and every tensor accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from converters.averages.ema import Ema, EmaUnavailable
from converters.carrying.arrays import inverse, permuted
from converters.dialects import Dialect
from converters.formats.base import Array, Reader, Scratch
from converters.names.naming import Entry
from effnet_core import Activation, InvalidOption, NetworkSpec

SPEC_KEY = "effnet.spec"
"""The metadata entry that holds the definition of the network as JSON."""
DIALECT_KEY = "effnet.dialect"
"""The one that names the dialect."""
KERAS_CONFIG_KEY = "model_config"
"""The one with the configuration of a Keras model, as Keras' .h5 files call it."""
NO_ACTIVATION = "none"


def check_classes(num_classes: int | None) -> None:
    """Raise `InvalidOption` for a classifier of no class."""
    if num_classes is not None and num_classes < 1:
        raise InvalidOption(
            f"The number of classes (--num-classes, num_classes=...) is {num_classes}; a classifier needs at least 1. "
            "To leave the classifier out, convert with --drop-head, in Python Adaptation(drop_head=True)."
        )


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What the user says about a checkpoint; None: find it out from the file."""

    format: str | None = None
    dialect: str | None = None
    arch: str | None = None
    width: float | None = None
    depth: float | None = None
    num_classes: int | None = None
    recipe: str | None = None
    prefix: str | None = None
    """What stands before the names of the network, where a file holds several or more than it."""
    ema: Ema = Ema.AUTO
    head_activation: str | None = None
    """What stands between the dense layers of a small head, of which weights tell nothing: the name of an activation,
    or `none`."""
    accept_different_logits: bool = False
    """Whether to take a network without the layers that were inserted into it."""
    spec: NetworkSpec | None = None
    """The whole definition, for a network that is no variant; width, depth and the others above are not looked at."""

    def __post_init__(self) -> None:
        """Take the words of `Ema` for its members.

        Raises `EmaUnavailable` for any other word, `InvalidOption` for an activation that there is not and for a
        classifier of no class.
        """
        check_classes(self.num_classes)
        if self.ema not in list(Ema):
            raise EmaUnavailable(f"ema is {self.ema!r}; expected one of {', '.join(Ema)}.")
        if self.head_activation not in (None, NO_ACTIVATION, *Activation):
            raise InvalidOption(
                f"The activation of hidden layers (--head-activation) is {self.head_activation!r}; expected "
                f"{NO_ACTIVATION} or one of {', '.join(Activation)}."
            )
        object.__setattr__(self, "ema", Ema(self.ema))


def accepting(options: SourceOptions | None, *, accept_different_logits: bool) -> SourceOptions | None:
    """The options, with what was accepted of the conversion as a whole."""
    if not accept_different_logits:
        return options
    return replace(options or SourceOptions(), accept_different_logits=True)


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
