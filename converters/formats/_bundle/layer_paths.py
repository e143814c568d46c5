"""Variables whose names say the model but not the layer that they belong to.

Keras 3 calls a variable of a layer that is an attribute of a model of a user's own class by that model alone: the
kernels of `self.hidden` and of `self.out` are both `my_model/kernel`, and the variables of all these layers look like
those of one. The key still tells them apart (`model/hidden/_kernel`). A SavedModel of `model.export` has neither path
nor name: only the list of variables, in which those of one layer stand together.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise

from converters.formats._bundle.index import VALUE_SUFFIX
from converters.formats._keras_layers import LAYERS

_NUMBERED = re.compile(r"((?:.*/)?(?:variables|_all_variables|_trainable_variables))/([0-9]+)")
"""A key that tells the place in a list of variables and nothing else."""
_SLOT = "/.OPTIMIZER_SLOT/"
_WHOLE = frozenset(tuple(leaf for leaf, _ in variables) for kinds in LAYERS.values() for variables in kinds)
"""The leaves of every layer, in the order in which Keras lists them."""
_SETS = frozenset(map(frozenset, _WHOLE))
_BEGINNINGS = frozenset(leaves[:count] for leaves in _WHOLE for count in range(len(leaves) + 1))


def names_by_layer(names: Mapping[str, str]) -> dict[str, str]:
    """Key to a name with the path of its layer, for those of `names` (key to name) that several layers share.

    Such are `model/hidden/kernel` or, from a list of variables, `variables/202/kernel` with the place of the layer's
    first one. Names that belong to one layer alone are not in it, nor those of which neither key nor order tells the
    layer.
    """
    groups: dict[str, list[str]] = {}
    for key, name in names.items():
        model, _, _ = name.rpartition("/")
        if model and name != key and key.endswith(VALUE_SUFFIX) and _SLOT not in key:
            groups.setdefault(model, []).append(key)
    found: dict[str, str] = {}
    for keys in groups.values():
        leaves = {key: names[key].rpartition("/")[2] for key in keys}
        if not _is_one_layer(leaves.values()):
            found |= {key: f"{layer}/{leaves[key]}" for key, layer in _layers(leaves).items()}
    return found


def _is_one_layer(leaves: Collection[str]) -> bool:
    """Whether these may be the variables of one layer; an optimiser lists some of them, so that keys do not tell."""
    return len({*leaves}) == len(leaves) and frozenset(leaves) in _SETS


def is_numbered(name: str) -> bool:
    """Whether a name is one of those that tell the place in a list of variables."""
    return _NUMBERED.fullmatch(name.rpartition("/")[0]) is not None


def _layers(leaves: Mapping[str, str]) -> dict[str, str]:
    """Key to the path of its layer; empty where that of one of them is not known, and where they are of one layer."""
    paths = {key: key.removesuffix(VALUE_SUFFIX).removesuffix("/") for key in leaves}
    listed: dict[str, dict[int, str]] = {}
    layers: dict[str, str] = {}
    for key, path in paths.items():
        match = _NUMBERED.fullmatch(path)
        if match is None:
            layers[key] = path.rpartition("/")[0]
        else:
            listed.setdefault(match[1], {})[int(match[2])] = key
    for place, variables in listed.items():
        for run in _runs({number: leaves[key] for number, key in variables.items()}):
            if tuple(leaves[variables[number]] for number in run) not in _WHOLE:
                return {}
            layers |= {variables[number]: f"{place}/{run[0]}" for number in run}
    return layers if all(layers.values()) and len({*layers.values()}) > 1 else {}


def _runs(leaves: Mapping[int, str]) -> Iterable[list[int]]:
    """The places of variables, parted where one cannot be of the same layer as those before it."""
    numbers = sorted(leaves)
    run = numbers[:1]
    for before, number in pairwise(numbers):
        if number != before + 1 or (*(leaves[one] for one in run), leaves[number]) not in _BEGINNINGS:
            yield run
            run = []
        run.append(number)
    yield run
