"""Names for the numbered variables of a Keras 3 file: from the layers' names, their classes and their shapes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from converters.formats._hdf5.attributes import Attributes
from converters.formats._hdf5.header import Header
from converters.formats._hdf5.stored import NotNumeric, Stored, describe
from converters.formats._hdf5.tree import Tree
from converters.formats._keras_layers import LAYERS, class_of, leaves_of

VARIABLES = "vars"
_VARIABLE = re.compile(rf"(?:(?P<layer>.+)/)?{VARIABLES}/(?P<number>0|[1-9][0-9]{{0,5}})")
_STATES = {
    "optimizer": "a variable of the optimiser",
    "_optimizer": "a variable of the optimiser",
    "seed_generator": "the state of a random generator",
    **dict.fromkeys(("metrics", "_metrics", "_loss_tracker", "_compile_metrics"), "the state of a metric"),
}
"""Parts of a path, without their numbers, and what is below them."""


class Variables(NamedTuple):
    """What a Keras 3 file holds."""

    stored: Mapping[str, Stored]
    """Tensor name to dataset, in the order in which Keras wrote the layers."""
    skipped: Mapping[str, str]
    notes: tuple[str, ...]
    layers: frozenset[str]
    """The names of all layers that have a group, those without variables too."""
    classes: Mapping[str, str]
    """The class of each layer, in snake case, where its path has it."""


def find_variables(
    tree: Tree,
    attributes: Attributes,
    *,
    size: int,
    where: str,
    configured: Callable[[], Mapping[str, str]],
    configured_leaves: Callable[[], Mapping[str, Sequence[str]]],
) -> Variables:
    """Name every variable of a layer in an HDF5 file of `size` bytes. Raises what `describe` raises.

    `configured` gives names by path (`layers/CLASS`, `layers/CLASS/layers/CLASS`); it is asked where the file itself
    has none of a layer, as Keras 2 writes them. `configured_leaves` gives the variables of layers in the same way,
    where class and shapes do not tell them.
    """
    skipped: dict[str, str] = {}
    layers: dict[str, dict[int, Stored]] = {}
    states = _States()
    for path, header in tree.datasets.items():
        match = _VARIABLE.fullmatch(path)
        state = None if match is None else states[match["layer"] or ""]
        if match is None or state is not None:
            skipped[path] = state or "no variable of a layer"
            continue
        try:
            found = describe(header, path, attributes=attributes, size=size, where=where)
        except NotNumeric as reason:
            skipped[path] = str(reason)
        else:
            layers.setdefault(match["layer"] or "", {})[int(match["number"])] = found
    owners = [path.removesuffix(f"/{VARIABLES}") for path in tree.groups if path.endswith(f"/{VARIABLES}")]
    owners = [path for path in owners if states[path] is None]
    known = _own_names(tree.groups, attributes)
    if any(path not in known for owner in owners for path in _around(owner)[1::2]):
        known = {**configured(), **known}
    names = _layer_names(list(layers), known)
    leaves_said = cache(configured_leaves)  # a long text is read for the first layer alone
    stored: dict[str, Stored] = {}
    notes: list[str] = []
    for layer, variables in sorted(layers.items(), key=_last_place):
        leaves = _leaves(layer, variables)
        if leaves is None and not _tells_class(layer):
            leaves = _leaves(known.get(layer, ""), variables)
        if leaves is None and _are_vectors(variables):
            said = leaves_said().get(layer, ())
            leaves = said if len(said) == len(variables) else None
        if leaves is None and class_of(layer.rpartition("/")[2]) in LAYERS:
            notes.append(_unclear(names[layer], list(variables.values())))
        for place, number in enumerate(sorted(variables)):
            leaf = f"{VARIABLES}/{number}" if leaves is None else leaves[place]
            stored[f"{names[layer]}/{leaf}".lstrip("/")] = variables[number]
    listed = _layer_names(owners, known)
    classes = {name: class_of(path.rpartition("/")[2]) for path, name in listed.items() if _tells_class(path)}
    return Variables(
        stored=stored, skipped=skipped, notes=tuple(notes), layers=frozenset(listed.values()), classes=classes
    )


def _last_place(layer: tuple[str, Mapping[int, Stored]]) -> tuple[int, str]:
    """Where a layer's last variable is: HDF5 appends large arrays, but puts small ones into gaps before them."""
    return max(variable.offset for variable in layer[1].values()), layer[0]


class _States(dict[str, str | None]):
    """The path of a group to what it belongs to that is no layer; None for a layer."""

    def __missing__(self, layer: str) -> str | None:
        found = self[layer] = next((_STATES[part] for part in map(class_of, layer.split("/")) if part in _STATES), None)
        return found


def _tells_class(layer: str) -> bool:
    """Whether the path of a layer has its class: `layers/dense_1`.

    Of a layer that is an attribute of a subclassed model it has the attribute, as in `hidden`; the layer's own name is
    made from the class where nobody chose another, and shapes have to agree with it.
    """
    *_, around, name = ["", *layer.split("/")]
    return around == "layers" or class_of(name) in LAYERS


def _leaves(layer: str, variables: Mapping[int, Stored]) -> Sequence[str] | None:
    """What the variables of a layer are, by the class in the last part of a path or of a name."""
    if sorted(variables) != list(range(len(variables))):
        return None
    return leaves_of(layer.rpartition("/")[2], [variables[number].shape for number in range(len(variables))])


def _are_vectors(variables: Mapping[int, Stored]) -> bool:
    """Whether these are the first variables of a layer, vectors of one length."""
    shapes = {variable.shape for variable in variables.values()}
    return sorted(variables) == list(range(len(variables))) and len(shapes) == 1 and len(next(iter(shapes))) == 1


def _own_names(groups: Mapping[str, Header], attributes: Attributes) -> dict[str, str]:
    """The names that the file has of its layers, by path."""
    found: dict[str, str] = {}
    for path, header in groups.items():
        owner, _, last = path.rpartition("/")
        name = attributes.text(header, "name") if owner and last == VARIABLES else None
        if name:
            found[owner] = name
    return found


def _layer_names(layers: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """The name of each layer: its own behind those of the networks around it, or its path where none is `known`.

    Two layers of one name, as networks of subclasses may have, keep their paths.
    """
    named = {layer: _joined(layer, known) for layer in layers}
    counts = Counter(named.values())
    return {layer: name if name and counts[name] == 1 else layer for layer, name in named.items()}


def _joined(layer: str, known: Mapping[str, str]) -> str | None:
    if layer not in known:
        return None
    return "/".join(known[path] for path in _around(layer) if path in known)


def _around(path: str) -> list[str]:
    """The groups on the way to a path, and itself."""
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _unclear(name: str, variables: Sequence[Stored]) -> str:
    shapes = ", ".join(str(variable.shape) for variable in variables)
    return f"{name} has variables of the shapes {shapes}, which do not tell what they are; they keep their numbers."
