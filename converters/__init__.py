"""Checkpoints of EfficientNets: files x names <-> one canonical state, without any framework.

What comparing, hashing and saving need is imported when it is first used, so that converting does not wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from converters.adapting import Adaptation, adapt
from converters.carrier import NotFinite
from converters.checkpoint import Checkpoint, SourceOptions
from converters.convert import DTYPES, ConversionReport, TargetOptions, convert
from converters.dialects import DIALECTS, Dialect
from converters.ema import Ema, EmaUnavailable
from converters.epsilon import EpsilonCannotBeMadeUpFor
from converters.errors import FormatError, OutputError, UnknownArchitecture, UnsupportedFile
from converters.formats import FORMATS, WRITTEN_FORMATS
from converters.left_out import LeftOut, left_out
from converters.meaning import DifferentSemantics
from converters.opening import open_checkpoint
from converters.whose_names import SeveralNetworks, UnknownDialect

if TYPE_CHECKING:
    from converters.difference import Difference, diff
    from converters.digests import Digest, digest, state_digest
    from converters.folded_values import CannotFold
    from converters.folding import fold
    from converters.memory import save_state, state_checkpoint
    from converters.training_checkpoint import Training, read_training_checkpoint, write_training_checkpoint

__all__ = [
    "DIALECTS",
    "DTYPES",
    "FORMATS",
    "WRITTEN_FORMATS",
    "Adaptation",
    "CannotFold",
    "Checkpoint",
    "ConversionReport",
    "Dialect",
    "Difference",
    "DifferentSemantics",
    "Digest",
    "Ema",
    "EmaUnavailable",
    "EpsilonCannotBeMadeUpFor",
    "FormatError",
    "LeftOut",
    "NotFinite",
    "OutputError",
    "SeveralNetworks",
    "SourceOptions",
    "TargetOptions",
    "Training",
    "UnknownArchitecture",
    "UnknownDialect",
    "UnsupportedFile",
    "adapt",
    "convert",
    "diff",
    "digest",
    "fold",
    "left_out",
    "open_checkpoint",
    "read_training_checkpoint",
    "save_state",
    "state_checkpoint",
    "state_digest",
    "write_training_checkpoint",
]

_MODULES = {
    "CannotFold": "converters.folded_values",
    "Training": "converters.training_checkpoint",
    "Difference": "converters.difference",
    "Digest": "converters.digests",
    "diff": "converters.difference",
    "digest": "converters.digests",
    "fold": "converters.folding",
    "read_training_checkpoint": "converters.training_checkpoint",
    "save_state": "converters.memory",
    "state_checkpoint": "converters.memory",
    "state_digest": "converters.digests",
    "write_training_checkpoint": "converters.training_checkpoint",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Name what can be imported, and not yet is."""
    return sorted({*globals(), *_MODULES})
