"""The object graph of an object-based checkpoint: which variable each key means.

`tf.train.Checkpoint`, Keras and SavedModels store variables under the path of attributes that leads to them
(`layer_with_weights-7/kernel/.ATTRIBUTES/VARIABLE_VALUE`), and beside them a string tensor with the graph of objects,
which keeps the name that each variable had in its program (`block1a_bn/gamma`).

Source: tensorflow/core/protobuf/trackable_object_graph.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from converters.errors import FormatError
from converters.formats._bundle.wire import WireType, fields

MAX_GRAPH_BYTES = 8 << 20
"""The SavedModel of a full-size EfficientNet-B7 has a graph of 0.5 MB."""
_MAX_NODES = 1 << 16
_MAX_REFERENCES = 1 << 19
_MAX_ATTRIBUTES = 1 << 16
_FEW_FIELDS = 16
"""More than a message without repeated fields has, unknown ones of later versions included."""

# Fields of the messages, by name in the source.
_NODES = 1
_CHILDREN, _ATTRIBUTES, _SLOT_VARIABLES = 1, 2, 3
_NODE_ID, _LOCAL_NAME = 1, 2
_SLOT_NODE_ID = 3
_FULL_NAME, _CHECKPOINT_KEY = 2, 3

_FIRST_MARKS = (b"_iterations", b"\x04iter")
"""One of them is in every graph with an optimiser; before `iter` its length, as other names begin with it."""
_MARKS = frozenset({b"_iterations", b"iter", b"decay", b"learning_rate"})
_TRAINED = b"_trainable_variables"


@dataclass(frozen=True, kw_only=True)
class ObjectGraph:
    """What the graph says of the keys of a checkpoint."""

    names: Mapping[str, str]
    """Key to the variable's name in its program, which may be empty."""
    optimiser: frozenset[str]
    """Keys of variables that only an optimiser holds: slots, iterations, learning rates."""


@dataclass(kw_only=True, slots=True)
class _Node:
    children: list[int] = field(default_factory=list[int])
    trained: tuple[int, ...] = ()
    """Children that Keras' optimisers call the variables that they train."""
    marks: frozenset[bytes] = frozenset()
    """Names of children by which an optimiser is known."""
    keys: tuple[str, ...] = ()
    slots: list[int] = field(default_factory=list[int])
    """Variables that belong to it, but are nobody's children."""

    @property
    def is_optimiser(self) -> bool:
        """Keras' since 2.11 count `_iterations`; the older ones `iter`, with their numbers beside it."""
        return bool(self.slots) or b"_iterations" in self.marks or (b"iter" in self.marks and len(self.marks) > 1)


def read_object_graph(data: bytes) -> ObjectGraph:
    """Raises `FormatError` when the bytes are no object graph, or one that contradicts itself."""
    if len(data) > MAX_GRAPH_BYTES:
        raise FormatError(f"expected an object graph of at most {MAX_GRAPH_BYTES} bytes, found {len(data)}")
    names: dict[str, str] = {}
    nodes = [_read_node(content, names) for number, content in _contents(data, limit=_MAX_NODES) if number == _NODES]
    # Most of a graph is references. Which objects they join matters only where there is an optimiser.
    if any(node.slots for node in nodes) or any(mark in data for mark in _FIRST_MARKS):
        _read_references(data, nodes)
    return ObjectGraph(names=names, optimiser=_only_of_optimisers(nodes))


def _read_node(content: bytes, names: dict[str, str]) -> _Node:
    """A node without its children; adds the names of its variables."""
    node = _Node()
    for number, part in _contents(content, limit=_MAX_REFERENCES):
        if number == _ATTRIBUTES:
            node.keys += (_read_attribute(part, names),)
        elif number == _SLOT_VARIABLES:
            node.slots += [value for field, value in _numbers(part) if field == _SLOT_NODE_ID] or [0]
    return node


def _read_attribute(content: bytes, names: dict[str, str]) -> str:
    texts = dict(_contents(content, limit=_FEW_FIELDS))
    try:
        key = texts.get(_CHECKPOINT_KEY, b"").decode()
        name = texts.get(_FULL_NAME, b"").decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"expected text in an attribute, found {content[:80]!r}") from error
    if names.setdefault(key, name) != name:
        raise FormatError(f"expected one name for {key[:200]!r}, found {names[key][:200]!r} and {name[:200]!r}")
    if len(names) > _MAX_ATTRIBUTES:
        raise FormatError(f"expected at most {_MAX_ATTRIBUTES} values of objects, found more")
    return key


def _read_references(data: bytes, nodes: list[_Node]) -> None:
    contents = (content for number, content in _contents(data, limit=_MAX_NODES) if number == _NODES)
    count = 0
    for node, content in zip(nodes, contents, strict=True):
        for number, part in _contents(content, limit=_MAX_REFERENCES):
            if number == _CHILDREN:
                count += 1
                _add_child(node, part, of=len(nodes))
        if count > _MAX_REFERENCES:
            raise FormatError(f"expected at most {_MAX_REFERENCES} references between objects, found more")


def _add_child(node: _Node, content: bytes, *, of: int) -> None:
    target = dict(_numbers(content)).get(_NODE_ID, 0)
    name = dict(_contents(content, limit=_FEW_FIELDS)).get(_LOCAL_NAME, b"")
    if target >= of:
        raise FormatError(f"expected a reference to one of {of} objects, found number {target}")
    if name == _TRAINED:
        node.trained += (target,)
    else:
        node.children.append(target)
    if name in _MARKS:
        node.marks |= {name}


def _numbers(data: bytes) -> Iterable[tuple[int, int]]:
    """The fields of a small message that are numbers."""
    return (
        (number, value)
        for number, kind, value in fields(data, limit=_FEW_FIELDS)
        if kind == WireType.VARINT and isinstance(value, int)
    )


def _contents(data: bytes, *, limit: int) -> Iterable[tuple[int, bytes]]:
    """The fields that are messages or text; numbers are passed over."""
    return ((number, value) for number, _, value in fields(data, limit=limit) if isinstance(value, bytes))


def _only_of_optimisers(nodes: list[_Node]) -> frozenset[str]:
    """Keys that an optimiser reaches, and that the root does not reach otherwise or as variables to be trained."""
    optimisers = {index for index, node in enumerate(nodes) if index and node.is_optimiser}
    trained = [child for index in optimisers for child in nodes[index].trained]
    network = _reached(nodes, [0, *trained], without=optimisers)
    slots = [slot for index in optimisers for slot in nodes[index].slots if slot < len(nodes)]
    others = _reached(nodes, [*optimisers, *slots], without=network)
    kept = {key for index in network for key in nodes[index].keys}
    return frozenset(key for index in others for key in nodes[index].keys if key not in kept)


def _reached(nodes: list[_Node], starts: list[int], *, without: set[int]) -> set[int]:
    """The objects at which one arrives from some, themselves included, but never through those to leave out."""
    seen: set[int] = set()
    waiting = [index for index in starts if index < len(nodes)]
    while waiting:
        index = waiting.pop()
        if index in seen or index in without:
            continue
        seen.add(index)
        waiting.extend(child for child in (*nodes[index].children, *nodes[index].trained) if child not in seen)
    return seen
