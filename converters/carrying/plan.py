"""What a conversion will do, as a value: which tensor of the source becomes which tensor of the target, and how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from converters.carrying.epsilon import has_network_epsilon, make_up
from converters.checkpoint import Checkpoint
from converters.dialects.dialect import Axes, Dialect, StoredNormalisation
from converters.errors import OutputError
from converters.formats import Format
from converters.formats.base import Array, TensorInfo
from converters.layouts import cast, compose, inverse
from converters.meaning import pixel_formula, settle
from converters.names.naming import Entry, table
from effnet_core import NetworkSpec, Role


class Step(NamedTuple):
    """One tensor of the target."""

    source: str | None
    """Its name in the source file; None for a tensor that the source does not have."""
    unfolded: tuple[int, ...]
    """Shape of the source's array, with the kernels of experts not flattened."""
    axes: Axes
    """Axes of that array in the order in which the target has them."""
    target: TensorInfo
    shift: float = 0.0
    """Added to every number."""
    value: tuple[float, ...] | None = None
    """The numbers of a tensor that the source does not have; None: zeros."""


class Plan(NamedTuple):
    """The steps in the order in which the target stores its tensors, and what was decided."""

    steps: tuple[Step, ...]
    spec: NetworkSpec
    """What the target's own network computes from the written weights."""
    originals: str | None
    """What `converters.carrying.epsilon` keeps of running variances that are shifted."""
    notes: tuple[str, ...]


def plan_conversion(
    checkpoint: Checkpoint,
    dialect: Dialect,
    layout: Format,
    *,
    dtype: np.dtype[Any] | None,
    accept_different_logits: bool = False,
) -> Plan:
    """How the checkpoint is written in the dialect and format. `dtype` None keeps the source's.

    Raises `Unnamed` where the dialect has no name for a part of the network, and `DifferentSemantics` when the target's
    own network computes something else, unless that is accepted.
    """
    spec = checkpoint.spec
    entries = tuple(table(dialect, spec, scope=spec.name))
    settled = settle(spec, dialect, accept_different_logits=accept_different_logits)
    notes, shift, kept = settled.notes, 0.0, None
    before, after = spec.norm, settled.spec.norm
    if before is not None and after is not None and before.epsilon != after.epsilon:
        made_up = make_up(
            _variances(checkpoint, dtype=dtype),
            epsilon=before.epsilon,
            target=after.epsilon,
            title=dialect.title,
            accept_different_logits=accept_different_logits,
        )
        notes, shift, kept = (*notes, made_up.note), made_up.shift, made_up.kept
    steps = list(_steps(checkpoint, dialect, entries, dtype=dtype, shift=shift))
    tensors = dialect.normalisation
    if tensors is not None and (tensors.families is None or spec.family in tensors.families):
        steps[:0], note = _normalisation(spec, dialect, tensors)
        notes = (*notes, note)
    if layout.sorted_by_name:
        steps.sort(key=lambda step: step.target.name.encode())
    return Plan(steps=tuple(steps), spec=settled.spec, originals=kept, notes=notes)


def _steps(
    checkpoint: Checkpoint, dialect: Dialect, entries: Iterable[Entry], *, dtype: np.dtype[Any] | None, shift: float
) -> Iterator[Step]:
    tensors = checkpoint.reader.tensors
    for source, entry in zip(checkpoint.sources, entries, strict=True):
        found = tensors[source.name].dtype
        step = Step(
            source=source.name,
            unfolded=source.entry.foreign_unfolded,
            axes=compose(inverse(source.entry.axes), entry.axes),
            target=TensorInfo(name=entry.name, shape=entry.shape, dtype=dtype or found),
            shift=shift if has_network_epsilon(entry.parameter) else 0.0,
        )
        yield step
        if dialect.shadow_suffix is not None:
            yield _named(step, entry.name + dialect.shadow_suffix)
        if dialect.norm_counter is not None and entry.parameter.role is Role.VARIANCE:
            layer = entry.name.removesuffix(dialect.leaves[Role.VARIANCE])
            counter = TensorInfo(name=layer + dialect.norm_counter, shape=(), dtype=np.dtype(np.int64))
            yield Step(source=None, unfolded=(), axes=(), target=counter)


def _normalisation(spec: NetworkSpec, dialect: Dialect, names: StoredNormalisation) -> tuple[list[Step], str]:
    """The tensors by which the target's own network normalises pixels as these weights expect."""
    prepared, channels = spec.preprocessing, spec.stem.in_channels
    if len(prepared.mean) != channels and len({*prepared.mean}) == len({*prepared.scale}) == 1:
        prepared = replace(prepared, mean=prepared.mean[:1] * channels, scale=prepared.scale[:1] * channels)
    if len(prepared.mean) != channels:
        raise OutputError(
            f"{dialect.title} normalises its input by tensors with one number for each channel, here {channels}; these "
            f"weights expect {pixel_formula(prepared)}, which says nothing of other channels than red, green and blue. "
            "If their images are normalised by one number for all channels, say so with a recipe that does, such as "
            "--recipe advprop; or choose another dialect (--to)."
        )
    steps = [
        Step(
            source=None,
            unfolded=(),
            axes=(),
            target=TensorInfo(name=name, shape=(len(numbers),), dtype=np.dtype(np.float32)),
            value=numbers,
        )
        for name, numbers in (
            (names.mean, tuple(mean / 255 for mean in prepared.mean)),
            (names.variance, tuple((scale / 255) ** 2 for scale in prepared.scale)),
        )
    ]
    counter = TensorInfo(name=names.count, shape=(), dtype=np.dtype(np.int64))
    steps.append(Step(source=None, unfolded=(), axes=(), target=counter))
    formula = pixel_formula(prepared)
    return steps, f"Wrote the tensors by which {dialect.title} normalises pixels, as {formula}."


def _variances(checkpoint: Checkpoint, *, dtype: np.dtype[Any] | None) -> dict[str, Array]:
    """Every running variance by canonical name, in the type in which it is written."""
    found: dict[str, Array] = {}
    for source in checkpoint.sources:
        if has_network_epsilon(source.entry.parameter):
            array = checkpoint.reader.read(source.name)
            found[source.entry.parameter.name] = np.array(cast(array, dtype or array.dtype))
    return found


def _named(step: Step, name: str) -> Step:
    return step._replace(target=step.target._replace(name=name))
