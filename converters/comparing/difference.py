"""Two checkpoints, tensor by tensor in canonical names, whatever files and namings they are in."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from math import inf, sqrt
from typing import Any, cast

import numpy as np

from converters.checkpoint import Checkpoint, Source
from converters.comparing.values import FLOAT32, FLOAT64, bits, blocks, widened
from converters.convert import Progress
from converters.formats.base import Array
from effnet_core import NetworkSpec


class Verdict(StrEnum):
    """What became of one tensor."""

    EQUAL = "equal"
    """Every number is the same one, in whatever type it is stored."""
    DIFFERENT = "different"
    SHAPE = "of another shape"
    """Both have it, in other shapes."""
    ONLY_A = "only in A"
    ONLY_B = "only in B"


@dataclass(frozen=True, kw_only=True)
class TensorDifference:
    """One tensor of either checkpoint. What was not compared is None."""

    name: str
    """The canonical name."""
    verdict: Verdict
    shape_a: tuple[int, ...] | None = None
    shape_b: tuple[int, ...] | None = None
    dtype_a: str | None = None
    dtype_b: str | None = None
    elements: int | None = None
    """How many numbers differ; 0 differs from -0, NaN does not from NaN."""
    max_abs: float | None = None
    """The largest |a - b|; infinite where only one of the two is NaN or infinite."""
    relative: float | None = None
    """||a - b|| / ||a||, Euclidean; infinite where that is no number."""

    @property
    def size(self) -> tuple[int, float, float]:
        """What to sort by: tensors that cannot be compared are the most different."""
        uncomparable = self.verdict in (Verdict.SHAPE, Verdict.ONLY_A, Verdict.ONLY_B)
        return (int(uncomparable), self.relative or 0.0, self.max_abs or 0.0)


@dataclass(frozen=True, kw_only=True)
class FieldDifference:
    """A field of the networks' definitions that is not the same, such as `norm.epsilon`."""

    field: str
    a: object
    b: object
    changes_logits: bool
    """Whether the same weights and the same normalised input give other logits. What is done to images before, and
    what acts in training alone, does not."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The result of `diff`."""

    tensors: tuple[TensorDifference, ...]
    """Of both checkpoints, in the forward order of A, then what only B has."""
    definition: tuple[FieldDifference, ...]
    notes_a: tuple[str, ...]
    """What was found or decided when A was opened, a sentence each."""
    notes_b: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether both hold the same weights of networks that compute the same from them."""
        return all(one.verdict is Verdict.EQUAL for one in self.tensors) and not any(
            one.changes_logits for one in self.definition
        )

    def count(self, verdict: Verdict) -> int:
        """How many tensors have that verdict."""
        return sum(one.verdict is verdict for one in self.tensors)

    def differing(self) -> tuple[TensorDifference, ...]:
        """The tensors that are not equal, the most different first."""
        found = [one for one in self.tensors if one.verdict is not Verdict.EQUAL]
        return tuple(sorted(found, key=lambda one: one.size, reverse=True))


def diff(a: Checkpoint, b: Checkpoint, *, progress: Progress | None = None) -> Difference:
    """Compare two open checkpoints, holding one tensor of each at a time.

    `progress` is called with the bytes of A that are done and the bytes in all.
    """
    in_b = {source.entry.parameter.name: source for source in b.sources}
    total = sum(a.reader.tensors[source.name].nbytes for source in a.sources)
    done = 0
    found: list[TensorDifference] = []
    for source in a.sources:
        other = in_b.pop(source.entry.parameter.name, None)
        found.append(_alone(a, source, Verdict.ONLY_A) if other is None else _pair(a, source, b, other))
        done += a.reader.tensors[source.name].nbytes
        if progress is not None:
            progress(done, total)
    found += [_alone(b, source, Verdict.ONLY_B) for source in in_b.values()]
    return Difference(
        tensors=tuple(found),
        definition=tuple(definition_differences(a.spec, b.spec)),
        notes_a=a.notes,
        notes_b=b.notes,
    )


def _alone(checkpoint: Checkpoint, source: Source, verdict: Verdict) -> TensorDifference:
    shape, dtype = source.entry.parameter.shape, checkpoint.reader.tensors[source.name].dtype.name
    is_a = verdict is Verdict.ONLY_A
    return TensorDifference(
        name=source.entry.parameter.name,
        verdict=verdict,
        shape_a=shape if is_a else None,
        shape_b=None if is_a else shape,
        dtype_a=dtype if is_a else None,
        dtype_b=None if is_a else dtype,
    )


def _pair(a: Checkpoint, in_a: Source, b: Checkpoint, in_b: Source) -> TensorDifference:
    shapes = in_a.entry.parameter.shape, in_b.entry.parameter.shape
    elements: int | None = None
    max_abs: float | None = None
    relative: float | None = None
    verdict = Verdict.SHAPE
    if shapes[0] == shapes[1]:
        elements, max_abs, relative = compare(a.read(in_a), b.read(in_b))
        verdict = Verdict.DIFFERENT if elements else Verdict.EQUAL
    return TensorDifference(
        name=in_a.entry.parameter.name,
        verdict=verdict,
        shape_a=shapes[0],
        shape_b=shapes[1],
        dtype_a=a.reader.tensors[in_a.name].dtype.name,
        dtype_b=b.reader.tensors[in_b.name].dtype.name,
        elements=elements,
        max_abs=max_abs,
        relative=relative,
    )


def compare(a: Array, b: Array) -> tuple[int, float, float]:
    """How many numbers of two arrays of one shape differ, the largest |a - b|, and ||a - b|| / ||a||."""
    narrow = max(a.dtype.itemsize, b.dtype.itemsize) <= FLOAT32.itemsize
    dtype = FLOAT32 if narrow else FLOAT64
    count, max_abs, squares, norm = 0, 0.0, 0.0, 0.0
    with np.errstate(all="ignore"):  # infinities are results here
        for one, other in zip(blocks(a), blocks(b), strict=True):
            ours, theirs = widened(one, dtype), widened(other, dtype)
            differ = bits(ours) != bits(theirs)
            norm += _squares(ours)
            if differ.any():
                count += int(np.count_nonzero(differ))
                apart = ours[differ].astype(FLOAT64) - theirs[differ].astype(FLOAT64)
                max_abs = max(max_abs, _finite_or_inf(np.abs(apart).max()))
                squares += _squares(apart)
    relative = 0.0 if squares == 0 else inf if norm == 0 else _finite_or_inf(sqrt(squares / norm))
    return count, max_abs, relative


def _squares(values: Array) -> float:
    return _finite_or_inf(np.square(values, dtype=np.float64).sum())


def _finite_or_inf(value: Any) -> float:
    return float(value) if np.isfinite(value) else inf


_OUTSIDE_THE_NETWORK = ("name", "family", "width", "depth", "rounding", "norm.decay", "preprocessing")
"""Fields that say where a network comes from, act in training alone, or are about the images."""
_IN_TRAINING = ("dropout_rate", "drop_connect_rate", "label_offset")


def definition_differences(a: NetworkSpec, b: NetworkSpec) -> list[FieldDifference]:
    """What two definitions do not have in common, a field each."""
    ours, theirs = dict(_flat(a, "")), dict(_flat(b, ""))
    names = [*ours, *(name for name in theirs if name not in ours)]
    return [
        FieldDifference(
            field=name,
            a=ours.get(name),
            b=theirs.get(name),
            changes_logits=not name.startswith(_OUTSIDE_THE_NETWORK) and not name.endswith(_IN_TRAINING),
        )
        for name in names
        if ours.get(name) != theirs.get(name)
    ]


def _flat(value: Any, where: str) -> list[tuple[str, object]]:
    if is_dataclass(value):
        kind = [(f"{where}.kind", type(value).__name__)] if where.startswith("blocks.") else []
        parts = [(f"{where}.{field.name}".removeprefix("."), getattr(value, field.name)) for field in fields(value)]
        return kind + [found for name, part in parts for found in _flat(part, name)]
    if where == "blocks":
        return [
            found
            for index, block in enumerate(cast("tuple[Any, ...]", value))
            for found in _flat(block, f"{where}.{index}")
        ]
    return [(where, value)]
