"""The table of names: every tensor of a network beside what a dialect calls it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import NamedTuple

from converters.dialects.dialect import Axes, BlockKind, Dialect
from converters.formats.base import Array
from converters.layouts import inverse
from effnet_core import Block, EffnetError, NetworkSpec, Parameter, Role, parameters

_OPTIONAL = re.compile(r"\[(.*?\{(\w+)\}.*?)\]")
_BLOCK_COUNTERS = ("{nth}", "{nth_of_three}", "{next_of_three}")
_LAYER_COUNTERS = ("{nth_layer}", "{next_layer}", "{nth_of_sort}")


class Unnamed(EffnetError):
    """A dialect has no name for a part of a network."""


class Entry(NamedTuple):
    """One tensor of a network in one dialect."""

    parameter: Parameter
    name: str
    """The foreign name, without a prefix."""
    shape: tuple[int, ...]
    """The foreign shape."""
    unfolded: tuple[int, ...]
    """The canonical shape, with the kernels of experts not flattened."""
    axes: Axes
    """Axes of the unfolded canonical array in the foreign order."""

    @property
    def foreign_unfolded(self) -> tuple[int, ...]:
        """The foreign shape, with the kernels of experts not flattened."""
        if self.parameter.expert_shape is None:
            return self.shape
        return tuple(self.unfolded[axis] for axis in self.axes)

    def to_canonical(self, array: Array) -> Array:
        """The canonical array that a foreign one holds; a view where that is possible."""
        return array.reshape(self.foreign_unfolded).transpose(inverse(self.axes)).reshape(self.parameter.shape)

    def to_foreign(self, array: Array) -> Array:
        """The foreign array that holds a canonical one; a view where that is possible."""
        return array.reshape(self.unfolded).transpose(self.axes).reshape(self.shape)


@lru_cache(maxsize=8)
def table(dialect: Dialect, spec: NetworkSpec, *, scope: str) -> tuple[Entry, ...]:
    """Every tensor of the network in forward order. `scope` stands before the names where the dialect has one."""
    return tuple(entries(dialect, spec, scope=scope))


def entries(dialect: Dialect, spec: NetworkSpec, *, scope: str) -> Iterator[Entry]:
    """The same, one at a time."""
    layer, name = "", ""
    for parameter in parameters(spec):
        if parameter.layer != layer:  # the tensors of a layer follow each other
            layer, name = parameter.layer, layer_name(dialect, spec, parameter, scope=scope)
        yield named_entry(dialect, parameter, name + dialect.separator + dialect.leaves[parameter.role])


def entry_of(dialect: Dialect, spec: NetworkSpec, parameter: Parameter, *, scope: str) -> Entry:
    """One tensor in the dialect."""
    layer = layer_name(dialect, spec, parameter, scope=scope)
    return named_entry(dialect, parameter, layer + dialect.separator + dialect.leaves[parameter.role])


def named_entry(dialect: Dialect, parameter: Parameter, name: str) -> Entry:
    """One tensor in the dialect's layout under any name."""
    shape, kernel = parameter.shape, parameter.expert_shape
    axes = dialect.axes.get(parameter.role)
    if kernel is not None:
        unfolded = (shape[0], *kernel)
        axes = (0, *(axis + 1 for axis in axes or range(len(kernel))))
        return Entry(parameter=parameter, name=name, shape=shape, unfolded=unfolded, axes=axes)
    if axes is None:
        return Entry(parameter=parameter, name=name, shape=shape, unfolded=shape, axes=tuple(range(len(shape))))
    foreign = tuple([shape[axis] for axis in axes])
    return Entry(parameter=parameter, name=name, shape=foreign, unfolded=shape, axes=axes)


def check_has_names(dialect: Dialect, spec: NetworkSpec) -> None:
    """Raise `Unnamed` where normalisations are folded into the convolutions, and the dialect's networks have them."""
    if spec.norm is None and not dialect.has_folded:
        raise Unnamed(
            f"{dialect.title} has no networks without batch normalisation, and that of this {spec.name} is folded into "
            "its convolutions. Write native, effnet-torch, effnet-keras or a .keras file, or take the checkpoint from "
            "before it was folded (leave --fold out)."
        )


def layer_name(dialect: Dialect, spec: NetworkSpec, parameter: Parameter, *, scope: str) -> str:
    """What the dialect calls the layer that holds the tensor. Raises `Unnamed` when it has no name for it."""
    check_has_names(dialect, spec)
    fields: dict[str, object] = {"scope": scope}
    if parameter.block is None:
        template = _known_template(dialect, spec, parameter)
        fields |= {"after_stages": spec.blocks[-1].stage + 1, "hidden": parameter.hidden}
    else:
        block = spec.blocks[parameter.block]
        template = _block_template(dialect, spec, parameter, block)
        fields |= {
            "index": parameter.block,
            "stage": block.stage,
            "stage_index": block.stage - 1,
            "repeat": block.repeat,
            "letter": chr(ord("a") + block.repeat),
        }
        if _asks_for(template, _BLOCK_COUNTERS):
            nth = sum(isinstance(other, type(block)) for other in spec.blocks[: parameter.block])
            fields |= {"nth": nth, "nth_of_three": 3 * nth + 1, "next_of_three": 3 * nth + 2}
    if _asks_for(template, _LAYER_COUNTERS):
        fields |= _layer_counters(spec, parameter)
    if "[" in template:
        template = _OPTIONAL.sub(lambda match: "" if fields[match[2]] == 0 else match[1], template)
    return template.format_map(fields)


@cache
def _asks_for(template: str, counters: tuple[str, ...]) -> bool:
    return any(counter in template for counter in counters)


def _known_template(dialect: Dialect, spec: NetworkSpec, parameter: Parameter) -> str:
    if dialect.families is not None and spec.family not in dialect.families:
        known = ", ".join(sorted(dialect.families))
        raise Unnamed(
            f"{dialect.title} has no networks of the family {spec.family}, such as {spec.name}, only of {known}. "
            "Choose another dialect, such as native."
        )
    template = dialect.layers.get(parameter.part)
    if template is None:
        raise Unnamed(
            f"{dialect.title} has no names for {parameter.layer} of {spec.name}: it knows no hidden layers between "
            "pooling and classifier. Write native or effnet-torch, or leave hidden layers and classifier out with "
            "--drop-head (Adaptation(drop_head=True))."
        )
    return template


def _block_template(dialect: Dialect, spec: NetworkSpec, parameter: Parameter, block: Block) -> str:
    kind = BlockKind(type(block), block.has_expansion)
    template = dialect.blocks.get(kind, {}).get(parameter.part)
    if template is None:
        known = ", ".join(sorted({other.type.__name__ for other in dialect.blocks}))
        raise Unnamed(
            f"{dialect.title} has no names for {parameter.layer} of {spec.name}: it knows {known} blocks, this one is "
            f"{kind.type.__name__}. Choose another dialect, such as native."
        )
    return template


def _layer_counters(spec: NetworkSpec, parameter: Parameter) -> dict[str, int]:
    """Running numbers of a layer through the whole network, from 0: among all layers, and among those of its sort."""
    sorts = _layer_sorts(spec)
    place = list(sorts).index(parameter.layer)
    nth_of_sort = list(sorts.values())[:place].count(sorts[parameter.layer])
    return {"nth_layer": place, "next_layer": place + 1, "nth_of_sort": nth_of_sort}


@lru_cache(maxsize=4)
def _layer_sorts(spec: NetworkSpec) -> Mapping[str, Role]:
    """Every layer with weights in forward order, and what sort of layer it is: the role of its first tensor."""
    sorts: dict[str, Role] = {}
    for parameter in parameters(spec):
        sorts.setdefault(parameter.layer, parameter.role)
    return sorts
