"""Tensors of a head that a file lacks because its layers do without them: a missing bias is zero.

PyTorch's Linear(bias=False), Keras' Dense(use_bias=False) and BatchNormalization(scale=False) leave out tensors that
change nothing as zeros, or ones. A definition always has them: a reader gives them beside those of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from converters.averages.stored import PartOfReader
from converters.checkpoint import Checkpoint
from converters.dialects import Dialect
from converters.errors import UnknownArchitecture, some_of
from converters.formats.around import ReaderAround
from converters.formats.base import Array, Reader, TensorInfo
from converters.heads.file_ending import is_of_training
from converters.heads.layers import DenseTensors, LayerTensors, NoSmallHead
from converters.names.dialect_choice import recognised_names
from converters.names.sorted_names import sort_names
from converters.options import EmaUnavailable, SourceOptions
from effnet_core import CheckpointMismatch, EffnetError, Role
from effnet_core.parameters import NORM_ROLES

_OTHERWISE = "If it compares directions instead (ArcFace, cosine similarity), leave it out with --drop-head."
_IN_OUT = (0, 1)
"""The axes of a dense kernel where a dialect has them as they are."""
_OF_INCOMPLETE = (CheckpointMismatch, EmaUnavailable, NoSmallHead, UnknownArchitecture)
"""What a network without a tensor is refused with."""


class Implied(NamedTuple):
    """A tensor that a file lacks, and what all its numbers are."""

    name: str
    """As the file would call it."""
    beside: str
    """A tensor of the same layer, which the file has."""
    size: int
    value: float
    ending: str
    """The layer's own name and the leaf, without what stands before them and differs between sets of weights."""


class LacksImplied(EffnetError):
    """A file lacks tensors that its layers do without, and is to be read with them."""

    def __init__(self, tensors: Sequence[Implied], notes: Sequence[str]) -> None:
        super().__init__(f"A head lacks {some_of([one.name for one in tensors], count=3)}.")
        self.tensors = tuple(tensors)
        self.notes = tuple(notes)
        """What is added, a sentence each."""


def check_whole(layers: Sequence[LayerTensors], dialect: Dialect, *, is_stated: bool) -> None:
    """Raise `LacksImplied` where the last layer, a dense one, has no bias, or norms lack gamma or beta.

    `is_stated` says that a configuration tells what the last layer computes.
    """
    tensors: list[Implied] = []
    notes: list[str] = []
    for layer in layers:
        if isinstance(layer, DenseTensors):
            wanted, beside = ((Role.BIAS,) if layer is layers[-1] else ()), layer.tensors[Role.DENSE]
        else:
            wanted, beside = NORM_ROLES, layer.tensors[Role.MEAN]
        missing = [role for role in wanted if role not in layer.tensors]
        for role in missing:
            value = 1.0 if role is Role.GAMMA else 0.0
            leaf = dialect.separator + dialect.leaves[role]
            ending = layer.path.rpartition(dialect.separator)[2] + leaf
            tensors.append(
                Implied(name=layer.path + leaf, beside=beside, size=layer.outputs, value=value, ending=ending)
            )
            notes.append(
                _of_classifier(layer.path, is_stated=is_stated) if role is Role.BIAS else _of_norm(layer, role)
            )
    if tensors:
        raise LacksImplied(tensors, notes)


def _of_classifier(path: str, *, is_stated: bool) -> str:
    note = f"The classifier ({path}) has no bias: zeros are taken for it, which give the same logits."
    return note if is_stated else f"{note} {_OTHERWISE}"


def _of_norm(layer: LayerTensors, role: Role) -> str:
    values = "ones" if role is Role.GAMMA else "zeros"
    return f"The norm {layer.path} has no {role}: {values} are taken for it, which give the same logits."


def understood_with_more(
    understand: Callable[[Reader], Checkpoint],
    error: EffnetError,
    whole: Reader,
    options: SourceOptions,
    *,
    hidden: Collection[str],
) -> Checkpoint:
    """What `understand` makes of a file that it refused with `error`, with the tensors that layers do without.

    `hidden` are the tensors of the file's other set of weights. Raises `error` where these tensors are not what the
    file lacks, and `EmaUnavailable` where it has them in that other set.
    """
    lacks = _lacking(error, whole, hidden, options)
    if lacks is None:
        raise error
    try:
        checkpoint = understand(CompletedReader(whole, lacks))
    except EffnetError as other:
        raise (other if lacks is error else error) from None
    checkpoint.notes += lacks.notes
    return checkpoint


def _lacking(error: EffnetError, whole: Reader, hidden: Collection[str], options: SourceOptions) -> LacksImplied | None:
    found = error if isinstance(error, LacksImplied) else None
    if isinstance(error, _OF_INCOMPLETE):
        found = _own_bias(PartOfReader(whole, hidden=hidden) if hidden else whole, options)
    if found is None:
        return None
    one = found.tensors[0]
    others = [name for name in (*hidden, *whole.skipped) if f".{name}".endswith((f".{one.ending}", f"/{one.ending}"))]
    if others and found is error:
        raise EmaUnavailable(
            f"{whole.path}: the head has no {one.name} beside {one.beside}, and the file has {others[0]}, which does "
            "not belong to it. Take the other set of weights (--ema), or correct the file."
        )
    return None if others else found


def _own_bias(reader: Reader, options: SourceOptions) -> LacksImplied | None:
    """The bias of the dialect's own classifier where the file has the kernel alone, and the averages of both alike.

    None where the file has the bias, or a vector that could be it, and for averages alone, which have to be whole.
    """
    try:
        recognised = recognised_names(reader, options)
        names = sort_names(reader, recognised)
    except EffnetError:
        return None
    if names.shadows and not names.raw:  # a part of a checkpoint rather than a layer without bias
        return None
    dialect = recognised.dialect
    layer = dialect.layers["classifier"].format(scope=recognised.scope)
    kernel, bias = (dialect.separator + dialect.leaves[role] for role in (Role.DENSE, Role.BIAS))
    found: list[Implied] = []
    path = ""
    for variables, suffix in ((names.raw, ""), (names.shadows, dialect.shadow_suffix or "")):
        name = variables.get(layer + kernel)
        if layer + bias in variables or (name is not None and len(reader.tensors[name].shape) != len(_IN_OUT)):
            return None
        if name is not None:
            path = name.removesuffix(suffix).removesuffix(kernel)
            size = reader.tensors[name].shape[dialect.axes.get(Role.DENSE, _IN_OUT).index(1)]
            ending = path.rpartition(dialect.separator)[2] + bias + suffix
            found.append(Implied(name=path + bias + suffix, beside=name, size=size, value=0.0, ending=ending))
    others = [reader.tensors[name].shape for name in names.strangers if not is_of_training(name)]
    if not found or (found[0].size,) in others:
        return None
    return LacksImplied(found, [_of_classifier(path, is_stated=False)])


class CompletedReader(ReaderAround):
    """Another reader, with tensors that the file lacks."""

    def __init__(self, reader: Reader, lacking: LacksImplied) -> None:
        super().__init__(reader)
        self._values = {one.name: one.value for one in lacking.tensors}
        self.tensors = _with(reader.tensors, lacking.tensors)
        self.implied = frozenset(self._values)

    def held(self, name: str) -> str | None:
        """The same; None for one that the file lacks."""
        return None if name in self._values else name

    def made(self, name: str) -> Array:
        """Zeros or ones."""
        info = self.tensors[name]
        return np.full(info.shape, self._values[name], info.dtype)


def _with(tensors: Mapping[str, TensorInfo], implied: Sequence[Implied]) -> dict[str, TensorInfo]:
    """The tensors of a file with those that it lacks, each behind one of its layer, as the order may tell something."""
    found: dict[str, TensorInfo] = {}
    for name, info in tensors.items():
        found[name] = info
        for one in implied:
            if one.beside == name:
                found[one.name] = TensorInfo(name=one.name, shape=(one.size,), dtype=info.dtype)
    return found
