"""JSON texts as nobody writes them: every value of a document replaced by others, and every kind of damage to its text.

Their names say what was done, so that a failure can be repeated.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

from tests.converters.formats.containers import flipped

VALUES: dict[str, str] = {
    "null": "null",
    "true": "true",
    "minus one": "-1",
    "zero": "0",
    "tiny": "1e-320",
    "small": "1e-200",
    "huge": "1e200",
    "a million": "999999",
    "two to the 31": "2147483647",
    "infinity": "Infinity",
    "minus infinity": "-1e999",
    "not a number": "NaN",
    "4000 digits": "9" * 4000,
    "5000 digits": "9" * 5000,
    "empty text": '""',
    "control characters": '"\\u0000\\n\\u001b[31m"',
    "half a letter": '"\\ud800"',
    "a path": '"../../../etc/passwd"',
    "a long text": '"' + "x" * 10_000 + '"',
    "empty list": "[]",
    "empty object": "{}",
    "a long list": "[" + ",".join(["1"] * 20_000) + "]",
    "900 levels": "[" * 900 + "]" * 900,
    "985 levels": "[" * 985 + "]" * 985,
    "100,000 levels": "[" * 100_000,
}
"""As they stand in the text: JSON knows more than Python writes."""
_MARK = "@@ the place @@"


def cases(document: Any, *, values: int) -> Iterator[tuple[str, bytes]]:
    """A name and a text for each; every place gets that many of the values in turn, and all of them come to some."""
    honest = json.dumps(document)
    turns = cycle(VALUES.items())
    for path in _places(document):
        for name, value in islice(turns, values):
            text = json.dumps(_with(document, path)).replace(json.dumps(_MARK), value)
            yield f"{'.'.join(map(str, path))} is {name}", text.encode()
        yield f"{'.'.join(map(str, path))} is not there", json.dumps(_without(document, path)).encode()
    for seed in range(60):
        data = honest.encode()
        yield f"bit {seed}", flipped(data, range(len(data)), seed)
        yield f"end {seed}", data[: random.Random(seed).randrange(len(data))]


def _places(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items: Any = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from _places(value, (*path, key))


def _with(document: Any, path: tuple[str | int, ...]) -> Any:
    copy = json.loads(json.dumps(document))
    _owner(copy, path)[path[-1]] = _MARK
    return copy


def _without(document: Any, path: tuple[str | int, ...]) -> Any:
    copy = json.loads(json.dumps(document))
    del _owner(copy, path)[path[-1]]
    return copy


def _owner(document: Any, path: tuple[str | int, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document
