"""Dense layers and norms among tensors that are no part of a network: which there are, and in which order they stand.

A file names tensors, not connections. Widths give the order wherever they leave one; where they leave several, the
order of the file decides if it is that of the layers, and else the numbers in the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from types import MappingProxyType

from converters.dialects.dialect import TORCH_LEAVES, Dialect
from converters.errors import counted, some_of
from effnet_core import EffnetError, Role
from effnet_core.parameters import NORM_ROLES

_MOST_DENSE = 5
_MOST_NORMS = 6
_NUMBER = re.compile(r"[0-9]+")
_NUMBERED = re.compile(r".*/vars/[0-9]+")
_ON_NUMBERS = (
    ". Keras numbers the variables of a layer, and the file does not tell the class of one that is an attribute of a "
    "subclassed keras.Model: build that head of layers in keras.Sequential or a functional model, give it these "
    "weights, and save that"
)

_OF_HEADS = ("dense", "batch_normalization")
_ON_VECTORS = (
    ". Keras numbers the variables of a layer, and three vectors may be those of a BatchNormalization with scale=False "
    "or with center=False: the configuration of a sequential or functional model tells, which its .keras file holds"
)


class NoSmallHead(EffnetError):
    """Tensors that are no part of a network are not those of a small head behind it; the message says why."""


class UnclearHead(EffnetError):
    """The tensors are those of a small head, but nothing tells what it computes."""


@dataclass(frozen=True, kw_only=True)
class DenseTensors:
    """A dense layer of a file."""

    path: str
    inputs: int
    outputs: int
    tensors: Mapping[Role, str]
    """Names in the file."""


@dataclass(frozen=True, kw_only=True)
class NormTensors:
    """Batch normalisation of (N, C) in a file, perhaps without gamma or beta."""

    path: str
    channels: int
    tensors: Mapping[Role, str]

    @property
    def inputs(self) -> int:
        """Channels that it takes."""
        return self.channels

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return self.channels


LayerTensors = DenseTensors | NormTensors


def layers_among(
    shapes: Mapping[str, tuple[int, ...]], dialect: Dialect, *, classes: Mapping[str, str] = MappingProxyType({})
) -> list[LayerTensors]:
    """The layers that the tensors belong to, in the order of the file; leaves and layouts are the dialect's.

    `classes` are those of layers, as far as a Keras file tells them (`Reader.layer_classes`). Raises `NoSmallHead` for
    tensors of other layers, and for more layers than a small head has.
    """
    found: dict[str, dict[str, str]] = {}
    for name in shapes:
        path, _, leaf = name.rpartition(dialect.separator)
        found.setdefault(path, {})[leaf] = name
    layers: list[LayerTensors] = []
    others: list[str] = []
    for path, names in found.items():
        layer = _layer(path, names, shapes, dialect)
        if layer is None:
            others += names.values()
        else:
            layers.append(layer)
    if others:
        belong = "belongs" if len(others) == 1 else "belong"
        why = _on_classes(others, classes) or _on_numbers(others, shapes)
        raise NoSmallHead(f"{some_of(others, count=3)} {belong} to no dense layer or norm{why}")
    dense = sum(isinstance(layer, DenseTensors) for layer in layers)
    if dense > _MOST_DENSE or len(layers) - dense > _MOST_NORMS:
        raise NoSmallHead(
            f"they are {counted(dense, 'dense layer')} and {counted(len(layers) - dense, 'norm')}; a small head has at "
            f"most {_MOST_DENSE} and {_MOST_NORMS}"
        )
    return layers


def _on_classes(others: Sequence[str], classes: Mapping[str, str]) -> str:
    """Which classes that no head has these tensors belong to, where the file tells them all; else nothing."""
    layers = dict.fromkeys(name.rpartition("/vars/")[0] for name in others if _NUMBERED.fullmatch(name))
    if not layers or any(classes.get(layer, _OF_HEADS[0]) in _OF_HEADS for layer in layers):
        return ""
    kinds = some_of([f"{layer} (class {classes[layer]})" for layer in layers], count=3)
    return f", but to {kinds}, which no head of a definition has"


def _on_numbers(others: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What to do about variables that have numbers instead of names; nothing for others."""
    numbered = [name for name in others if _NUMBERED.fullmatch(name)]
    first = [shapes[name] for name in numbered if name.rpartition("/")[0] == numbered[0].rpartition("/")[0]]
    are_vectors = len(first) == len(NORM_ROLES) - 1 and len({*first}) == 1 and len(first[0]) == 1
    return _ON_VECTORS if are_vectors else _ON_NUMBERS if numbered else ""


def _layer(
    path: str, names: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], dialect: Dialect
) -> LayerTensors | None:
    leaves, ranks = dialect.leaves, {leaf: len(shapes[name]) for leaf, name in names.items()}
    if any(ranks == {leaves[role]: 1 for role in roles} for roles in _norms(dialect)):
        widths = {shapes[name] for name in names.values()}
        tensors = {role: names[leaves[role]] for role in NORM_ROLES if leaves[role] in names}
        ((channels,), *others) = widths
        return None if others else NormTensors(path=path, channels=channels, tensors=tensors)
    kernel, bias = leaves[Role.DENSE], leaves[Role.BIAS]
    if ranks not in ({kernel: 2}, {kernel: 2, bias: 1}):
        return None
    axes = dialect.axes.get(Role.DENSE, (0, 1))
    inputs, outputs = (shapes[names[kernel]][axes.index(axis)] for axis in (0, 1))
    if bias in names and shapes[names[bias]] != (outputs,):
        return None
    roles = {Role.DENSE: kernel, Role.BIAS: bias}
    tensors = {role: names[leaf] for role, leaf in roles.items() if leaf in names}
    return DenseTensors(path=path, inputs=inputs, outputs=outputs, tensors=tensors)


def _norms(dialect: Dialect) -> tuple[tuple[Role, ...], ...]:
    """The sets of tensors that a norm may have. In Keras it does without gamma (scale=False), beta, or both."""
    if dialect.leaves[Role.GAMMA] == TORCH_LEAVES[Role.GAMMA]:
        return (NORM_ROLES,)
    statistics = (Role.MEAN, Role.VARIANCE)
    return NORM_ROLES, (Role.GAMMA, *statistics), (Role.BETA, *statistics), statistics


def in_forward_order(layers: Sequence[LayerTensors], *, features: int, keeps_order: bool) -> list[LayerTensors]:
    """The layers as a chain that takes `features` channels; `keeps_order` says that the file lists layers in order.

    Raises `NoSmallHead` where they are no chain, or more than one.
    """
    dense = [layer for layer in layers if isinstance(layer, DenseTensors)]
    norms = [layer for layer in layers if isinstance(layer, NormTensors)]
    ways = [list(way) for way in permutations(dense) if is_chain(way, features=features)] if dense else []
    if not ways:
        raise NoSmallHead(_no_chain(dense, features))
    if len(ways) == 1 and (found := _with_norms(ways[0], norms, features)) is not None:
        return found
    given = list(layers)
    if keeps_order and is_chain(given, features=features) and not _goes_back(given):
        return given
    numbered = sorted(layers, key=lambda layer: _numbers(layer.path))
    if len({_NUMBER.sub("#", _counted(layer.path)) for layer in layers}) == 1 and is_chain(numbered, features=features):
        return numbered
    raise NoSmallHead(f"their widths do not tell in which order they stand: {_listed(layers)}")


def is_chain(layers: Iterable[LayerTensors], *, features: int) -> bool:
    """Whether each layer takes what the one before gives, the first `features`."""
    every = list(layers)
    return [layer.inputs for layer in every] == [features, *(layer.outputs for layer in every)][: len(every)]


def _with_norms(
    dense: Sequence[DenseTensors], norms: Sequence[NormTensors], features: int
) -> list[LayerTensors] | None:
    """The chain with each norm at the one place that has its width; None where that leaves a choice."""
    widths = [features, *(layer.outputs for layer in dense)]
    behind: dict[int, NormTensors] = {}
    for norm in norms:
        places = [place for place, width in enumerate(widths) if width == norm.channels]
        if not places:
            raise NoSmallHead(f"{norm.path} normalises {norm.channels} channels, which no layer before it gives")
        if len(places) > 1 or places[0] in behind:
            return None
        behind[places[0]] = norm
    first = [behind[0]] if 0 in behind else []
    rest = [[layer, *([behind[place]] if place in behind else [])] for place, layer in enumerate(dense, start=1)]
    return [*first, *(layer for group in rest for layer in group)]


def _no_chain(dense: Sequence[DenseTensors], features: int) -> str:
    if not dense:
        return "none of them is the kernel of a dense layer"
    takers = [layer for layer in dense if layer.inputs == features]
    if not takers:
        return f"no dense layer takes the network's {features} features: {_listed(dense)}"
    if len(takers) > 1:
        return f"{len(takers)} dense layers take the network's {features} features, so that it has several outputs"
    return f"no order makes one chain of them: {_listed(dense)}"


def _listed(layers: Iterable[LayerTensors]) -> str:
    return some_of(f"{layer.path} ({layer.inputs} to {layer.outputs})" for layer in layers)


def _goes_back(layers: Sequence[LayerTensors]) -> bool:
    """Whether names that differ in numbers only stand in another order than their numbers."""
    last: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        series = _NUMBER.sub("#", _counted(layer.path))
        if _numbers(layer.path) < last.get(series, ()):
            return True
        last[series] = _numbers(layer.path)
    return False


def _counted(path: str) -> str:
    """Keras leaves out the first number of a series: dense, dense_1."""
    return path if path[-1:].isdigit() else f"{path}_0"


def _numbers(path: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(_counted(path)))


def room_between(first: LayerTensors, second: LayerTensors) -> int | None:
    """How many layers without tensors stand between two of one numbered container; None where names do not tell."""
    (parent, _, number), (other, _, following) = first.path.rpartition("."), second.path.rpartition(".")
    if parent != other or not (number.isascii() and number.isdigit() and following.isascii() and following.isdigit()):
        return None
    return max(int(following) - int(number) - 1, 0)


def rooms(layers: Sequence[LayerTensors]) -> list[int | None]:
    """The same for each layer and the one that follows."""
    return [room_between(first, second) for first, second in pairwise(layers)]
