"""What makes the definition of a network contradict itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import cache
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from effnet_core.heads import (
    Classifier,
    Head,
    HiddenDense,
    HiddenLayer,
    HiddenNorm,
    Pooling,
)
from effnet_core.preprocessing import CentreCrop, ShorterSide

if TYPE_CHECKING:
    from effnet_core.spec import Block, NetworkSpec, Stem

    _Part = Stem | Block | Head | HiddenLayer | Classifier

_COUNTS = frozenset(
    {
        "stage",
        "kernel_size",
        "stride",
        "in_channels",
        "expanded_channels",
        "out_channels",
        "squeeze_channels",
        "num_experts",
        "num_classes",
        "channels",
    }
)
_RGB = 3
_RATES = frozenset({"drop_connect_rate", "dropout_rate"})


def problems(spec: NetworkSpec) -> list[str]:
    """Every contradiction in the definition, a clause each; empty for a sound one."""
    hidden = () if spec.classifier is None else spec.classifier.hidden
    ends = [part for part in (spec.head, *hidden, spec.classifier) if part is not None]
    found = _out_of_range(spec, (spec.stem, *spec.blocks, *ends))
    if not spec.blocks:
        return [*found, "it has no blocks"]
    for (giver, _, given), (taker, taken, _) in pairwise(_widths(spec)):
        if given != taken:
            found.append(f"{_title(spec, giver)} gives {given} channels, {_title(spec, taker)} takes {taken}")
    for index, block in enumerate(spec.blocks):
        if block.has_residual and (block.stride != 1 or block.in_channels != block.out_channels):
            found.append(f"block {index} has a residual, but its input and output differ in shape")
        if not block.has_expansion and block.expanded_channels != block.in_channels:
            found.append(f"block {index} has no expansion, but expanded_channels differs from in_channels")
    found += [*_of_preprocessing(spec), *_of_norm(spec)]
    if spec.classifier is not None:
        found += _of_classifier(spec.classifier, has_head=spec.head is not None)
    return found


def _of_norm(spec: NetworkSpec) -> Iterator[str]:
    """A folded network has none, and nothing to say of it."""
    norm = spec.norm
    if norm is not None and (norm.epsilon < 0 or not 0 <= norm.decay <= 1):
        yield (
            f"its norm has epsilon {norm.epsilon} and decay {norm.decay}, expected an epsilon of at least 0 and a "
            "decay in [0, 1]"
        )


def _of_preprocessing(spec: NetworkSpec) -> Iterator[str]:
    rule, channels = spec.preprocessing, spec.stem.in_channels
    if not (len(rule.mean) == len(rule.scale) and len(rule.mean) in (_RGB, channels)):
        yield (
            f"its preprocessing has {len(rule.mean)} means and {len(rule.scale)} scales; expected a number for each of "
            f"RGB or of its {channels} input channels"
        )
    if rule.resolution < 1:
        yield f"its preprocessing makes images of {rule.resolution} pixels a side, expected at least 1"
    if isinstance(rule.crop, CentreCrop) and rule.crop.padding < 0:
        yield f"the padding of its crop is {rule.crop.padding}, expected at least 0"
    if isinstance(rule.crop, ShorterSide) and rule.crop.side < rule.resolution:
        yield f"it crops {rule.resolution} pixels out of images whose shorter side is resized to {rule.crop.side}"


def _widths(spec: NetworkSpec) -> list[tuple[_Part, int, int]]:
    """Every part that has channels, with those that it takes and those that it gives."""
    ends = () if spec.head is None else (spec.head,)
    found: list[tuple[_Part, int, int]] = [
        (part, part.in_channels, part.out_channels) for part in (spec.stem, *spec.blocks, *ends)
    ]
    classifier = spec.classifier
    if classifier is None:
        return found
    for layer in classifier.hidden:
        if isinstance(layer, HiddenNorm):
            found.append((layer, layer.channels, layer.channels))
        elif isinstance(layer, HiddenDense):
            found.append((layer, layer.in_channels, layer.out_channels))
    return [*found, (classifier, classifier.in_channels, classifier.num_classes)]


def _title(spec: NetworkSpec, part: _Part) -> str:
    """What people call a part."""
    numbered: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("block", spec.blocks),
        ("hidden layer", () if spec.classifier is None else spec.classifier.hidden),
    )
    for kind, listed in numbered:
        for index, other in enumerate(listed):
            if other is part:
                return f"{kind} {index}"
    return type(part).__name__.lower()


def _of_classifier(classifier: Classifier, *, has_head: bool) -> Iterator[str]:
    if not has_head:
        yield "it has a classifier, but no head"
    if classifier.pooling is Pooling.NONE:
        yield "it has a classifier, but no pooling before it"
    for index, layer in enumerate(classifier.hidden):
        if isinstance(layer, HiddenNorm) and (layer.epsilon <= 0 or not 0 <= layer.decay <= 1):
            yield (
                f"hidden layer {index} has epsilon {layer.epsilon} and decay {layer.decay}, expected a positive "
                "epsilon and a decay in [0, 1]"
            )


def _out_of_range(spec: NetworkSpec, parts: tuple[_Part, ...]) -> list[str]:
    found: list[str] = []
    sound: set[tuple[object, ...]] = set()  # the blocks of a stage have the same counts
    for part in parts:
        counts, rates = _checked_fields(type(part))
        values = counts.of(part)
        if values not in sound:
            wrong = [name for name, value in zip(counts.names, values, strict=True) if value is not None and value < 1]
            found += (
                f"{name} of the {_title(spec, part)} is {getattr(part, name)}, expected at least 1" for name in wrong
            )
            if not wrong:
                sound.add(values)
        for name in rates:
            value = getattr(part, name)
            if not 0 <= value < 1:
                found.append(f"{name} of the {_title(spec, part)} is {value}, expected a number in [0, 1)")
    return found


class _Counts(NamedTuple):
    """Fields of a part, and what gives all their values."""

    names: tuple[str, ...]
    of: Callable[[_Part], tuple[Any, ...]]


@cache
def _checked_fields(kind: type[_Part]) -> tuple[_Counts, tuple[str, ...]]:
    """The fields of a part that are counts, and those that are rates."""
    names = [field.name for field in fields(kind)]
    rates = tuple(name for name in names if name in _RATES)
    return _counts([name for name in names if name in _COUNTS]), rates


def _counts(names: Sequence[str]) -> _Counts:
    def one_by_one(part: _Part) -> tuple[Any, ...]:
        return tuple(getattr(part, name) for name in names)

    # For fewer than two, attrgetter gives no tuple.
    return _Counts(names=tuple(names), of=attrgetter(*names) if len(names) > 1 else one_by_one)
