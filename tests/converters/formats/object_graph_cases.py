"""Object graphs that contradict themselves or their checkpoint, and such as lie; and what a reader may make of them.

`python -m tests.converters.formats.object_graph_cases FOLDER` reads each with little memory and prints JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.formats._bundle.dtypes import STRING
from converters.formats._bundle.index import GRAPH_KEY, VALUE_SUFFIX
from converters.formats._bundle.strings import write_strings
from converters.formats._bundle.wire import bytes_field, number_field, varint
from converters.formats.tensor_bundle import TensorBundleReader
from effnet_core import EffnetError
from tests.converters.formats.bundle_hostile import limit_memory
from tests.converters.formats.bundle_tables import Bundle
from tests.named_values import named_values

ROOM = 192 << 20
"""Bytes that the cases may take beyond what the interpreter and its libraries take."""
NAMES = ("stem_conv/kernel", "stem_bn/gamma", "stem_bn/beta", "block1a_dwconv/kernel", "adam/iteration")
KEYS = tuple(
    f"{path}{VALUE_SUFFIX}"
    for path in (
        *(f"layer_with_weights-{n}" for n in ("0/kernel", "1/gamma", "1/beta", "2/kernel")),
        "optimizer/_iterations",
    )
)


def child(node: int, name: bytes) -> bytes:
    return bytes_field(1, number_field(1, node) + bytes_field(2, name))


def attribute(key: str, name: str | bytes) -> bytes:
    text = name if isinstance(name, bytes) else name.encode()
    return bytes_field(2, bytes_field(1, b"VARIABLE_VALUE") + bytes_field(2, text) + bytes_field(3, key.encode()))


def node(*parts: bytes) -> bytes:
    return bytes_field(1, b"".join(parts))


def graph(names: Mapping[str, str | bytes | None] | None = None, *, more: tuple[bytes, ...] = ()) -> bytes:
    """As Keras writes it: root, layers and an optimiser, then the variables; `more` goes into the root.

    None in place of a name: that variable is not in the graph.
    """
    named = dict(zip(KEYS, NAMES, strict=True)) if names is None else names
    root = node(*(child(n, f"layer-{n}".encode()) for n in (1, 2, 3)), child(4, b"optimizer"), *more)
    layers = (
        node(child(5, b"kernel")),
        node(child(6, b"gamma"), child(7, b"beta")),
        node(child(8, b"kernel")),
        node(child(9, b"_iterations")),
    )
    variables = (node() if name is None else node(attribute(key, name)) for key, name in named.items())
    return b"".join((root, *layers, *variables, node()))


def checkpoint(
    folder: Path, content: bytes | None, *, texts: int = 1, damaged: bool = False, keys: tuple[str, ...] = KEYS
) -> Path:
    """A checkpoint of `NAMES` under the keys, with that object graph; damaged: the checksum is the right graph's."""
    made = Bundle()
    for key, name in zip(keys, NAMES, strict=False):
        made.add(key.encode(), named_values(name, (3, 2)))
    if content is not None:
        data, checksum = write_strings([content] * texts)
        made.add_raw(GRAPH_KEY.encode(), data, STRING, () if texts == 1 else (texts,))
        right = write_strings([graph()])[1]
        made = made.change(GRAPH_KEY.encode(), masked_crc32c=right if damaged else checksum)
    return made.write(folder)


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    content: bytes | None
    must_fail: bool = False
    texts: int = 1
    damaged: bool = False


def cases() -> Iterator[Case]:
    whole = graph()
    yield Case(name="control: the whole graph", content=whole)
    yield Case(name="no graph", content=None)
    yield Case(name="empty", content=b"")
    for end in range(1, len(whole), 7):
        yield Case(name=f"ends at {end}", content=whole[:end])
    random = np.random.default_rng(0)
    for bit in random.choice(8 * len(whole), 150, replace=False):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        yield Case(name=f"bit {bit}", content=bytes(flipped))
        yield Case(name=f"bit {bit}, checksum as before", content=bytes(flipped), damaged=True, must_fail=True)
    yield from _made_up(whole)


def _made_up(whole: bytes) -> Iterator[Case]:
    right: dict[str, str | bytes] = dict(zip(KEYS, NAMES, strict=True))
    yield Case(name="two graphs", content=whole, texts=2, must_fail=True)
    yield Case(name="a cycle", content=graph(more=(child(0, b"root"), child(2, b"again"))))
    yield Case(name="a child that is not there", content=graph(more=(child(10_000, b"x"),)), must_fail=True)
    yield Case(name="a child of a negative number", content=graph(more=(child(-1, b"x"),)), must_fail=True)
    yield Case(name="the root is an optimiser", content=graph(more=(child(1, b"_iterations"),)))
    yield Case(name="a key with two names", content=whole + node(attribute(KEYS[0], "other")), must_fail=True)
    yield Case(name="a key twice", content=whole + node(attribute(KEYS[0], NAMES[0])))
    yield Case(name="a key that is not in the file", content=whole + node(attribute("gone", "gone/kernel")))
    yield Case(name="a key that is missing", content=graph({**right, KEYS[0]: None}))
    yield Case(name="one name for all", content=graph(dict.fromkeys(KEYS, "kernel")))
    yield Case(name="names that are other keys", content=graph(dict(zip(KEYS, reversed(KEYS), strict=True))))
    for title, name in {
        "empty": "",
        "no text": b"\xff\xfe",
        "a line": "stem\nconv/kernel",
        "a zero": "stem\0/kernel",
        "the graph's own": GRAPH_KEY,
        "a long": "x" * 100_000,
        "a path": "../../etc/passwd",
        ":0": ":0",
    }.items():
        yield Case(name=f"name: {title}", content=graph({**right, KEYS[0]: name}), must_fail=title == "no text")
    yield Case(name="too many nodes", content=bytes_field(1, b"") * 70_000, must_fail=True)
    yield Case(name="too many references", content=graph(more=(child(1, b""),) * 600_000), must_fail=True)
    many = node(*(attribute(f"{n}", "") for n in range(66_000)))
    yield Case(name="too many values", content=many, must_fail=True)
    yield Case(name="too large", content=whole + bytes_field(9, bytes(9 << 20)), must_fail=True)
    yield Case(name="a huge length", content=b"\x0a" + varint(1 << 62), must_fail=True)
    yield Case(name="deeply nested", content=_nested(5000))


def _nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = bytes_field(1, content)
    return content


def outcome(case: Case, folder: Path) -> dict[str, object]:
    path = checkpoint(folder, case.content, texts=case.texts, damaged=case.damaged)
    written = sorted(named_values(name, (3, 2)).tobytes() for name in NAMES)
    error, message, found, names = "", "", 0, []
    try:
        with TensorBundleReader(path) as reader:
            names = list(reader.tensors)
            values = [reader.read(name).tobytes() for name in names]
            found = sum(values.count(value) == 1 for value in written) + len(reader.skipped.keys() & set(KEYS))
    except Exception as caught:
        error = "EffnetError" if isinstance(caught, EffnetError) else repr(caught)
        message = str(caught)
    return {"name": case.name, "must_fail": case.must_fail, "error": error, "message": message} | {
        "found": found,
        "names": names,
    }


def main(folder: Path) -> None:
    limit_memory(ROOM)
    try:
        np.ones(2 * ROOM, np.uint8)
        limited = False
    except MemoryError:
        limited = True
    outcomes = [outcome(case, folder / str(number)) for number, case in enumerate(cases())]
    json.dump({"limited": limited, "outcomes": outcomes}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
