"""Checkpoints of EfficientNets: files x names <-> one canonical state, without any framework.

README.md beside this file has the way of a checkpoint through the folders, and the words that they use.

What comparing, hashing and saving need is imported when it is first used, so that converting does not wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from converters.carrying.carrier import NotFinite
from converters.carrying.epsilon import EpsilonCannotBeMadeUpFor
from converters.changes.adaptation import Adaptation, adapt
from converters.checkpoint import Checkpoint
from converters.convert import DTYPES, ConversionReport, TargetOptions, convert
from converters.dialects import DIALECTS, Dialect
from converters.errors import FormatError, OutputError, UnknownArchitecture, UnreadableFile, UnsupportedFile
from converters.formats import FORMATS, WRITTEN_FORMATS
from converters.left_out import LeftOut, left_out
from converters.meaning import DifferentSemantics
from converters.names.dialect_choice import SeveralNetworks, UnknownDialect
from converters.names.naming import Unnamed
from converters.opening import open_checkpoint
from converters.options import Ema, EmaUnavailable, SourceOptions

if TYPE_CHECKING:
    from converters.changes.folded_values import CannotFold
    from converters.changes.folding import fold
    from converters.comparing.difference import Difference, diff
    from converters.comparing.digests import Digest, digest, state_digest
    from converters.dialects._huggingface_config import NoConfig
    from converters.heads.layers import NoSmallHead, UnclearHead
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
    "NoConfig",
    "NoSmallHead",
    "NotFinite",
    "OutputError",
    "SeveralNetworks",
    "SourceOptions",
    "TargetOptions",
    "Training",
    "UnclearHead",
    "UnknownArchitecture",
    "UnknownDialect",
    "Unnamed",
    "UnreadableFile",
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
    "CannotFold": "converters.changes.folded_values",
    "NoConfig": "converters.dialects._huggingface_config",
    "NoSmallHead": "converters.heads.layers",
    "UnclearHead": "converters.heads.layers",
    "Training": "converters.training_checkpoint",
    "Difference": "converters.comparing.difference",
    "Digest": "converters.comparing.digests",
    "diff": "converters.comparing.difference",
    "digest": "converters.comparing.digests",
    "fold": "converters.changes.folding",
    "read_training_checkpoint": "converters.training_checkpoint",
    "save_state": "converters.memory",
    "state_checkpoint": "converters.memory",
    "state_digest": "converters.comparing.digests",
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
