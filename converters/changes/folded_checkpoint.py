"""An open checkpoint whose normalisations are folded as its tensors are read, one at a time."""

from __future__ import annotations

import numpy as np

from converters.changes.folding import FoldingPlan, plan_folding
from converters.checkpoint import Checkpoint, Source
from converters.dialects.native import NATIVE
from converters.formats.base import Array, Location, Reader, TensorInfo
from converters.names.naming import table


def folded(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint of the folded network; it reads from the file of the given one, and closes it.

    Its tensors are float64 where the file holds any, float32 otherwise.
    """
    plan = plan_folding(checkpoint.spec)
    if plan.spec == checkpoint.spec:
        return checkpoint
    reader = FoldedReader(checkpoint, plan)
    return Checkpoint(
        reader=reader,
        dialect=checkpoint.dialect,
        spec=plan.spec,
        sources=tuple(Source(entry=entry, name=entry.name) for entry in table(NATIVE, plan.spec, scope="")),
        uses_ema=checkpoint.uses_ema,
        ignored=checkpoint.ignored,
        notes=(*checkpoint.notes, *plan.notes),
    )


class FoldedReader(Reader):
    """The tensors of a folded network under their canonical names, computed from those of a checkpoint."""

    def __init__(self, checkpoint: Checkpoint, plan: FoldingPlan) -> None:
        reader = checkpoint.reader
        self.format, self.path = reader.format, reader.path
        self.metadata, self.skipped, self.notes = reader.metadata, reader.skipped, reader.notes
        found = {reader.tensors[source.name].dtype for source in checkpoint.sources}
        self._dtype = np.dtype(np.float64 if np.dtype(np.float64) in found else np.float32)
        self._checkpoint = checkpoint
        self._plan = plan
        self._sources = {source.entry.parameter.name: source for source in checkpoint.sources}
        self.tensors = {
            entry.name: TensorInfo(name=entry.name, shape=entry.shape, dtype=self._dtype)
            for entry in table(NATIVE, plan.spec, scope="")
        }

    def read(self, name: str) -> Array:
        """The array, folded."""
        return self._plan.values[name].computed(self._original, self._dtype)

    def _original(self, name: str) -> Array:
        return self._checkpoint.read(self._sources[name])

    def location(self, name: str) -> Location | None:
        """Nowhere in the file."""
        return None

    def close(self) -> None:
        """Close the file."""
        self._checkpoint.close()
