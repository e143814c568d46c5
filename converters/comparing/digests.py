"""One digest for one set of weights, whatever file, format and naming they are kept in. Specified in docs/digest.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from converters.checkpoint import Checkpoint
from converters.comparing.values import blocks, narrowest, widened
from converters.convert import Progress
from converters.formats.base import Array

PREFIX = "effnet1:"
"""Begins every digest; another way to compute it would have another number."""


@dataclass(frozen=True, kw_only=True)
class TensorDigest:
    """One line of what is hashed."""

    name: str
    """The canonical name."""
    shape: tuple[int, ...]
    """The canonical shape."""
    dtype: str
    """float32 where it holds every number exactly, else float64."""
    sha256: str
    """Of the numbers, little-endian, in C order of the canonical layout; 64 hexadecimal digits."""

    @property
    def line(self) -> str:
        """Name, shape, type and digest, as they are hashed."""
        return f"{self.name} {'x'.join(map(str, self.shape))} {self.dtype} {self.sha256}\n"


@dataclass(frozen=True, kw_only=True)
class Digest:
    """The digest of a set of weights, and those of its tensors."""

    value: str
    """`effnet1:` and 64 hexadecimal digits."""
    tensors: tuple[TensorDigest, ...]
    """Sorted by name."""


def digest(checkpoint: Checkpoint, *, progress: Progress | None = None) -> Digest:
    """The digest of the weights that were chosen when the checkpoint was opened, read one tensor at a time.

    `progress` is called with the bytes done and the bytes in all.
    """
    total = sum(checkpoint.reader.tensors[source.name].nbytes for source in checkpoint.sources)
    found: list[TensorDigest] = []
    done = 0
    for source in checkpoint.sources:
        array = checkpoint.read(source)
        found.append(tensor_digest(source.entry.parameter.name, array))
        done += array.nbytes
        if progress is not None:
            progress(done, total)
    return _whole(found)


def state_digest(state: Mapping[str, Array]) -> Digest:
    """The same of a canonical state in memory."""
    return _whole(tensor_digest(name, array) for name, array in state.items())


def tensor_digest(name: str, array: Array) -> TensorDigest:
    """The digest of one canonical array of floating-point numbers."""
    dtype = narrowest(array)
    hashed = sha256()
    for block in blocks(array):
        hashed.update(widened(block, dtype).data)
    return TensorDigest(name=name, shape=array.shape, dtype=dtype.name, sha256=hashed.hexdigest())


def _whole(found: Iterable[TensorDigest]) -> Digest:
    tensors = tuple(sorted(found, key=lambda one: one.name))
    whole = sha256("".join(one.line for one in tensors).encode()).hexdigest()
    return Digest(value=PREFIX + whole, tensors=tensors)
