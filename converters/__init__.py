"""Checkpoints of EfficientNets: files x names <-> one canonical state, without any framework."""

from converters.adapting import Adaptation, adapt
from converters.architecture import UnknownArchitecture
from converters.checkpoint import Checkpoint, SourceOptions
from converters.convert import DTYPES, ConversionReport, NotFinite, TargetOptions, convert
from converters.dialects import DIALECTS, Dialect
from converters.difference import Difference, diff
from converters.digests import Digest, digest, state_digest
from converters.ema import Ema, EmaUnavailable
from converters.epsilon import EpsilonCannotBeMadeUpFor
from converters.errors import FormatError, OutputError, UnsupportedFile
from converters.formats import FORMATS, WRITTEN_FORMATS
from converters.left_out import LeftOut, left_out
from converters.meaning import DifferentSemantics
from converters.memory import save_state, state_checkpoint
from converters.opening import open_checkpoint
from converters.training_checkpoint import Training, read_training_checkpoint, write_training_checkpoint
from converters.whose_names import SeveralNetworks, UnknownDialect

__all__ = [
    "DIALECTS",
    "DTYPES",
    "FORMATS",
    "WRITTEN_FORMATS",
    "Adaptation",
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
    "left_out",
    "open_checkpoint",
    "read_training_checkpoint",
    "save_state",
    "state_checkpoint",
    "state_digest",
    "write_training_checkpoint",
]
