"""Weights that are in memory, read as if they were a file, so that a trained model can be saved in any dialect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from converters.checkpoint import Checkpoint, Source
from converters.convert import ConversionReport, Progress, TargetOptions, convert_checkpoint
from converters.dialects.native import NATIVE
from converters.formats.base import Array, Location, Reader, TensorInfo
from converters.names.naming import table
from effnet_core import NetworkSpec, check_state, parameters


class MemoryReader(Reader):
    """The arrays of a mapping."""

    def __init__(self, arrays: Mapping[str, Array], *, path: Path, format: str) -> None:
        self.path = path
        self.format = format
        self._arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        self.tensors = {
            name: TensorInfo(name=name, shape=array.shape, dtype=array.dtype) for name, array in self._arrays.items()
        }

    def read(self, name: str) -> Array:
        """The array itself."""
        return self._arrays[name]

    def location(self, name: str) -> Location | None:
        """Nowhere in a file."""
        return None

    def close(self) -> None:
        """Let go of the arrays."""
        self._arrays = {}


def state_checkpoint(
    spec: NetworkSpec,
    state: Mapping[str, Array],
    *,
    path: Path = Path("memory"),
    format: str = "memory",
    notes: tuple[str, ...] = (),
) -> Checkpoint:
    """A canonical state as an open checkpoint; `path`, `format` and `notes` say where it comes from.

    Raises `CheckpointMismatch` when the state is not that of the network.
    """
    shapes = {name: array.shape for name, array in state.items()}
    check_state(parameters(spec), shapes, subject="The state", network=spec.name)
    return Checkpoint(
        reader=MemoryReader(state, path=path, format=format),
        dialect=NATIVE,
        spec=spec,
        sources=tuple(Source(entry=entry, name=entry.name) for entry in table(NATIVE, spec, scope=spec.name)),
        uses_ema=False,
        ignored={},
        notes=notes,
    )


def save_state(
    target: str | Path,
    spec: NetworkSpec,
    state: Mapping[str, Array],
    *,
    to: str | None = None,
    to_format: str | None = None,
    dtype: str | None = None,
    allow_non_finite: bool = False,
    overwrite: bool = False,
    sync: bool = True,
    progress: Progress | None = None,
    source: Path = Path("memory"),
    source_format: str = "memory",
    notes: tuple[str, ...] = (),
) -> ConversionReport:
    """Write a canonical state (name to array, TensorFlow's layouts) to `target`; options as in `convert`.

    `source`, `source_format` and `notes` say where the state comes from, in the report and in the file.

    Raises `CheckpointMismatch` when the state is not that of the network, and what `convert` raises.
    """
    checkpoint = state_checkpoint(spec, state, path=source, format=source_format, notes=notes)
    options = TargetOptions(
        to=to,
        to_format=to_format,
        dtype=dtype,
        allow_non_finite=allow_non_finite,
        overwrite=overwrite,
        sync=sync,
    )
    with checkpoint:
        return convert_checkpoint(checkpoint, target, options, progress=progress)
