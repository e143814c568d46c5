"""Names for the variables of an object-based checkpoint whose keys name no layer.

Keras' own models are lists of layers to TensorFlow: `layer_with_weights-7/kernel` (tf_keras), `_operations/7/_kernel`
(Keras 3), `variables/7` (SavedModels). There the names come from the object graph, which has those of the layers:
`block1a_bn/gamma`; where several layers share one, from the path to the layer. A model of a user's own class has keys
that name its attributes (`_blocks/3/_expand_conv/kernel`); where all keys of a checkpoint are such, they stay.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from converters.errors import counted
from converters.formats._bundle.index import VALUE_SUFFIX, BundleIndex
from converters.formats._bundle.layer_paths import is_numbered, names_by_layer
from converters.formats._bundle.object_graph import ObjectGraph

_LISTED = (
    r"layer(?:_with_weights)?-\d+"
    r"|(?:_operations|_layers|_self_tracked_trackables|variables|_all_variables|_trainable_variables)/\d+"
)
_NUMBERED = re.compile(rf"(?:^|/)(?:{_LISTED})/")
"""A part of a key that says which of several layers or variables it is, but not its name."""
_OWNER = re.compile(rf"^(?:(.*)/)?(?:{_LISTED})/")
"""Takes a key apart before its last numbered part: what stands before is the model that holds the layer."""
_SECOND_COPY = re.compile(r"(?:^|/)_all_variables/\d+/")
_NOT_OF_A_NETWORK = (
    (re.compile(r"^save_counter/"), "how often the checkpoint was saved"),
    (re.compile(r"(?:^|/)(?:keras_api/)?metrics/\d+/"), "a number of a metric"),
    (re.compile(r"(?:^|/)_loss_tracker/"), "a number of a metric"),
)
_RANDOM_STATE = re.compile(r"(?:^|/)seed_generator(?:_\d+)?/seed_generator_state$")
_ESCAPED = re.compile(r"\.\.|\.S")
_MAX_NAME = 1024


@dataclass(frozen=True, kw_only=True)
class NamedIndex:
    """The index with names in place of keys, and what was decided."""

    index: BundleIndex
    notes: tuple[str, ...]


def are_numbered(keys: Iterable[str]) -> bool:
    """Whether keys number layers or variables in place of naming them."""
    return any(key.endswith(VALUE_SUFFIX) and _NUMBERED.search(key) for key in keys)


def unescaped(index: BundleIndex) -> BundleIndex:
    """The index with the names that dictionaries of variables had, where a key holds characters that are escaped.

    A dictionary `weights` with `stem.conv.kernel` is saved as `weights/stem..conv..kernel/.ATTRIBUTES/VARIABLE_VALUE`.
    Source: tensorflow/python/trackable/trackable_utils.py, escape_local_name.
    """
    names = {key: _unescaped(key) for key in index.tensors if key.endswith(VALUE_SUFFIX) and _ESCAPED.search(key)}
    if not names or len({*names.values(), *index.tensors, *index.skipped}) < len(names) + len(index.tensors) + len(
        index.skipped
    ):
        return index
    return replace(
        index,
        tensors={names.get(key, key): info._replace(name=names.get(key, key)) for key, info in index.tensors.items()},
        parts={names.get(key, key): parts for key, parts in index.parts.items()},
    )


def _unescaped(key: str) -> str:
    local = key.removesuffix(VALUE_SUFFIX).removesuffix("/")
    return _ESCAPED.sub(lambda match: "." if match[0] == ".." else "/", local)


def with_names(index: BundleIndex, graph: ObjectGraph) -> NamedIndex:
    """Give variables their names, and put aside what belongs to training only, with the reason.

    A variable is called by the path to its layer where the graph's name is that of several layers. It keeps its key
    where the graph has no name for it, or has it for another variable of the layer too.
    """
    aside = _set_aside(index, graph)
    kept = [key for key in index.tensors if key not in aside]
    inside = _names_inside_models(kept, graph.names)
    by_layer = names_by_layer(inside)
    names = _unique_names(inside | by_layer, taken=[*index.tensors, *index.skipped])
    unnamed = [key for key in kept if names[key] == key]
    notes = [f"The object graph names the variables of {counted(len(kept) - len(unnamed), 'tensor')}."]
    if by_layer:
        notes.append(_note_on_shared(by_layer, graph))
    if unnamed:
        notes.append(
            f"It has no name of its own for {counted(len(unnamed), 'tensor')}, such as {unnamed[0]}: the key stays."
        )
    named = replace(
        index,
        tensors={names[key]: index.tensors[key]._replace(name=names[key]) for key in kept},
        parts={names[key]: index.parts[key] for key in kept},
        others={**index.others, **{key: index.parts[key][0].entry for key in aside if len(index.parts[key]) == 1}},
        skipped={**index.skipped, **aside},
    )
    return NamedIndex(index=named, notes=tuple(notes))


def _set_aside(index: BundleIndex, graph: ObjectGraph) -> dict[str, str]:
    """Key to reason for numbers that no network needs."""
    aside = dict.fromkeys(graph.optimiser & index.tensors.keys(), "a number of the optimiser")
    for key in index.tensors:
        reason = next((reason for pattern, reason in _NOT_OF_A_NETWORK if pattern.search(key)), None)
        if reason is None and _RANDOM_STATE.search(graph.names.get(key, "")):
            reason = "the state of a random generator"
        if reason is not None:
            aside.setdefault(key, reason)
    first = {_fingerprint(index, graph, key): key for key in index.tensors if not _SECOND_COPY.search(key)}
    for key in index.tensors:
        original = first.get(_fingerprint(index, graph, key))
        if original is not None and _SECOND_COPY.search(key):
            aside.setdefault(key, "a second copy of a variable that was read")
    return aside


def _fingerprint(index: BundleIndex, graph: ObjectGraph, key: str) -> object:
    """Equal for two records of one variable: name, shape, type and checksum."""
    parts = index.parts[key]
    name = graph.names.get(key, "")
    if len(parts) != 1 or not name:
        return key
    entry = parts[0].entry
    return name, entry.dtype, entry.shape, entry.masked_crc32c


def _names_inside_models(keys: list[str], names: Mapping[str, str]) -> dict[str, str]:
    """Key to name. Where names repeat, every name gets before it the path of the model that holds the layer."""
    found = {key: _usable(names.get(key, "")) or key for key in keys}
    if max(Counter(found.values()).values(), default=0) > 1:
        return {key: name if name == key else _inside_its_model(key, name) for key, name in found.items()}
    return found


def _unique_names(names: Mapping[str, str], *, taken: Iterable[str]) -> dict[str, str]:
    """Key to name, or to the key itself where names repeat.

    No name is one of those `taken`, the keys of the file: each stays free for what has it.
    """
    counts = Counter([*names.values(), *taken])
    return {key: name if name == key or counts[name] == 1 else key for key, name in names.items()}


def _note_on_shared(by_layer: Mapping[str, str], graph: ObjectGraph) -> str:
    key, name = next(iter(by_layer.items()))
    listed = any(map(is_numbered, by_layer.values()))
    number = " The number is the place of a layer's first variable in the list of all." if listed else ""
    return (
        f"It names {counted(len(by_layer), 'tensor')} by the model alone, such as {graph.names[key]}: they go by the "
        f"path to their layer, such as {name}.{number} Where widths do not tell in which order these layers stand, "
        "that of the file is taken, in which the model's program made them: a guess."
    )


def _inside_its_model(key: str, name: str) -> str:
    match = _OWNER.match(key)
    return f"{match[1]}/{name}" if match is not None and match[1] else name


def _usable(name: str) -> str:
    """The name as Keras has it, empty where it is none: variables of TensorFlow's graphs end in `:0`."""
    name = name.removesuffix(":0")
    return name if name.isprintable() and 0 < len(name) <= _MAX_NAME else ""
