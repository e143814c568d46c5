"""Checkpoints in memory, in any dialect, for tests that need no file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from converters.checkpoint import Checkpoint
from converters.dialects import DIALECTS
from converters.formats.base import Array
from converters.memory import MemoryReader
from converters.names.naming import table
from converters.opening import understand
from converters.options import SourceOptions
from effnet_core import NetworkSpec

DEFAULT = SourceOptions()


def in_dialect(dialect: str, spec: NetworkSpec, state: Mapping[str, Array], *, scope: str = "") -> dict[str, Array]:
    """The canonical state under the names and in the layouts of a dialect."""
    entries = table(DIALECTS[dialect], spec, scope=scope or spec.name)
    return {entry.name: np.ascontiguousarray(entry.to_foreign(state[entry.parameter.name])) for entry in entries}


def opened(arrays: Mapping[str, Array], options: SourceOptions = DEFAULT) -> Checkpoint:
    """The arrays, understood as a checkpoint."""
    return understand(MemoryReader(arrays, path=Path("memory"), format="memory"), options)


def equal(found: Mapping[str, Array], expected: Mapping[str, Array]) -> bool:
    """True when both hold the same names, shapes, types and bits."""
    return found.keys() == expected.keys() and all(
        found[name].shape == expected[name].shape
        and found[name].dtype == expected[name].dtype
        and found[name].tobytes() == expected[name].tobytes()
        for name in expected
    )
