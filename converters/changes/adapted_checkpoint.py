"""An adapted network: what changes is a few tensors.

An `Adaptation` says what is wanted, `adapted` makes of it an edit for each tensor that changes, and the reader that it
gives applies them as the tensors are read, one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from converters.changes.adaptation import Adaptation
from converters.changes.edits import CutFirst, Draw, Edit, RepeatInputs, SumInputs
from converters.checkpoint import Checkpoint, Source
from converters.dialects.native import NATIVE
from converters.errors import counted
from converters.formats.around import ReaderAround
from converters.formats.base import Array, Reader, TensorInfo
from converters.names.naming import Entry, entry_of
from converters.options import check_classes
from effnet_core import (
    InvalidOption,
    NetworkSpec,
    Parameter,
    described,
    ending,
    parameters,
    with_classes,
    with_in_channels,
    without_background,
    without_classifier,
)

_RGB = 3


@dataclass(frozen=True, kw_only=True)
class Change:
    """An adapted definition, the edits that lead to it, and what was done, a sentence each."""

    spec: NetworkSpec
    edits: Mapping[str, Edit]
    """By canonical name; tensors without one stay as they are."""
    notes: tuple[str, ...]


def plan_change(spec: NetworkSpec, adaptation: Adaptation) -> Change:
    """What an adaptation means for a network. Raises `InvalidOption` and `InvalidSpec` for what it does not allow."""
    if adaptation.seed < 0:
        raise InvalidOption(f"The seed is {adaptation.seed}; expected a whole number of at least 0.")
    check_classes(adaptation.num_classes)
    if adaptation.drop_background and adaptation.drop_head:
        raise InvalidOption("Dropping the head leaves no background class to cut; expected one of the two, found both.")
    edits: dict[str, Edit] = {}
    notes: list[str] = []
    if adaptation.in_channels not in (None, spec.stem.in_channels):
        edits["stem.conv.kernel"] = _stem_edit(spec, adaptation.in_channels)
        way = "their sum" if adaptation.in_channels == 1 else "repeated and rescaled"
        notes.append(
            f"The stem takes {counted(adaptation.in_channels, 'channel')} instead of {spec.stem.in_channels}: {way}."
        )
        spec = with_in_channels(spec, adaptation.in_channels)
    if adaptation.drop_background:
        spec = without_background(spec)
        edits |= {"classifier.kernel": CutFirst(axis=1), "classifier.bias": CutFirst(axis=0)}
        notes.append(f"The background, class 0, is cut: {ending(spec)} are left.")
    before = ending(spec)
    if adaptation.drop_head and spec.classifier is not None:
        spec = without_classifier(spec)
        if adaptation.num_classes is None:
            notes.append(f"The classifier ({before}) is left out: the network gives features.")
    classes = None if spec.classifier is None else spec.classifier.num_classes
    if adaptation.num_classes not in (None, classes):
        background = None if spec.classifier is None or spec.classifier.label_offset == 0 else classes
        spec = with_classes(spec, adaptation.num_classes)
        fresh = [item for item in parameters(spec) if item.part == "classifier"]
        edits |= {item.name: Draw(parameter=item, seed=adaptation.seed) for item in fresh}
        notes.append(
            f"The classifier is new, drawn from seed {adaptation.seed}: {before} before, {ending(spec)} now. What it "
            "gives means nothing before it is trained."
        )
        if background is not None and adaptation.num_classes == background - 1:
            notes.append(
                f"Class 0 of {background} is the background: --drop-background (Adaptation(drop_background=True)) "
                "keeps the others as they are, with nothing to train."
            )
    return Change(spec=spec, edits=edits, notes=tuple(notes))


def adapted(checkpoint: Checkpoint, adaptation: Adaptation) -> Checkpoint:
    """The checkpoint of the adapted network, as `adapt` gives it. Raises `InvalidOption` and `InvalidSpec`."""
    changed = _changed(checkpoint, adaptation)
    if not adaptation.fold:
        return changed
    from converters.changes.folded_checkpoint import folded  # noqa: PLC0415 - most adaptations keep the normalisations

    return folded(changed)


def _changed(checkpoint: Checkpoint, adaptation: Adaptation) -> Checkpoint:
    change = plan_change(checkpoint.spec, adaptation)
    if change.spec == checkpoint.spec and not change.edits:
        return checkpoint
    old = {source.entry.parameter.name: source for source in checkpoint.sources}
    dtype = checkpoint.reader.tensors[checkpoint.sources[0].name].dtype
    edited: dict[str, Edited] = {}
    sources: list[Source] = []
    for parameter in parameters(change.spec):
        edit = change.edits.get(parameter.name)
        if edit is None:
            sources.append(old[parameter.name])
            continue
        if isinstance(edit, Draw):
            entry, name = entry_of(NATIVE, change.spec, parameter, scope=""), parameter.name
        else:
            entry, name = _reshaped(old[parameter.name].entry, parameter), old[parameter.name].name
            dtype = checkpoint.reader.tensors[name].dtype
        edited[name] = Edited(entry=entry, edit=edit, info=TensorInfo(name=name, shape=entry.shape, dtype=dtype))
        sources.append(Source(entry=entry, name=name))
    # A drawn tensor may have the name of one in the file, which is left out all the same.
    drawn = {name for name, one in edited.items() if isinstance(one.edit, Draw)}
    taken = {source.name for source in sources} - drawn
    left = {source.name: "left out on demand" for source in checkpoint.sources if source.name not in taken}
    for name in checkpoint.reader.implied:
        left.pop(name, None)
    return Checkpoint(
        reader=EditedReader(checkpoint.reader, edited),
        dialect=checkpoint.dialect,
        spec=change.spec,
        sources=tuple(sources),
        uses_ema=checkpoint.uses_ema,
        ignored={**checkpoint.ignored, **left},
        notes=(*checkpoint.notes, *change.notes),
    )


@dataclass(frozen=True, kw_only=True)
class Edited:
    """A tensor of the adapted network that the file does not hold as it is."""

    entry: Entry
    """The layout in which the reader gives it: the file's, and canonical for one that is drawn."""
    edit: Edit
    info: TensorInfo


class EditedReader(ReaderAround):
    """A file of which some tensors are edited as they are read, and to which drawn ones are added."""

    def __init__(self, reader: Reader, edited: Mapping[str, Edited]) -> None:
        super().__init__(reader)
        self.tensors = {**reader.tensors, **{name: change.info for name, change in edited.items()}}
        self._edited = edited

    def held(self, name: str) -> str | None:
        """The same; None where the tensor is edited or drawn."""
        return None if name in self._edited else name

    def made(self, name: str) -> Array:
        """The tensor as edited, or drawn."""
        change = self._edited[name]
        if isinstance(change.edit, Draw):
            return change.edit.values(change.info.dtype)
        array = change.edit.apply(self._reader.read(name), change.entry.axes.index(change.edit.axis))
        return np.ascontiguousarray(array)


def _stem_edit(spec: NetworkSpec, in_channels: int) -> Edit:
    if in_channels < 1:
        raise InvalidOption(f"The number of input channels is {in_channels}; expected at least 1.")
    if spec.stem.in_channels != _RGB:
        raise InvalidOption(
            f"{described(spec)} takes {spec.stem.in_channels} channels; expected {_RGB} to make {in_channels} of them. "
            "Adapt the original checkpoint."
        )
    return SumInputs(axis=2) if in_channels == 1 else RepeatInputs(axis=2, count=in_channels)


def _reshaped(entry: Entry, parameter: Parameter) -> Entry:
    """The same name and layout for a tensor of another shape; no tensor of experts is ever edited."""
    shape = tuple(parameter.shape[axis] for axis in entry.axes)
    return entry._replace(parameter=parameter, unfolded=parameter.shape, shape=shape)
