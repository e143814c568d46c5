"""The object graph for variables that are stored under paths of attributes, as `tf.train.Checkpoint` needs it.

Source: tensorflow/core/protobuf/trackable_object_graph.proto.
"""

from __future__ import annotations

from collections.abc import Sequence

from converters.formats._bundle.index import VALUE_SUFFIX
from converters.formats._bundle.wire import bytes_field, number_field

_VALUE = b"VARIABLE_VALUE"


def write_object_graph(keys: Sequence[str]) -> bytes:
    """The graph in which every variable is where its key says: `_blocks/3/_norm0/gamma` below `_blocks`, `3`, `_norm0`.

    A variable's name in it is its path.
    """
    children: list[dict[str, int]] = [{}]  # per object: name of a child to the number of that object; 0 is the root
    keys_of: dict[int, str] = {}
    for key in keys:
        node = 0
        for name in key.removesuffix(VALUE_SUFFIX).split("/"):
            if name not in children[node]:
                children[node][name] = len(children)
                children.append({})
            node = children[node][name]
        keys_of[node] = key
    return b"".join(bytes_field(1, _node(held, keys_of.get(node))) for node, held in enumerate(children))


def _node(children: dict[str, int], key: str | None) -> bytes:
    references = b"".join(
        bytes_field(1, number_field(1, node) + bytes_field(2, name.encode())) for name, node in children.items()
    )
    if key is None:
        return references
    path = key.removesuffix(VALUE_SUFFIX).encode()
    return references + bytes_field(2, bytes_field(1, _VALUE) + bytes_field(2, path) + bytes_field(3, key.encode()))
