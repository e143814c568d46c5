"""The answer to a predict request, as TensorFlow Serving writes it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.serving.errors import Refused
from effnet.serving.request import Form

Row = Mapping[str, NDArray[Any]]
"""The outputs for one image, without the first dimension."""


def answer(rows: Sequence[Row], form: Form) -> bytes:
    """The JSON of the outputs of all images. One output stands without its name; float32 in its shortest form.

    Raises `Refused` where one of them is NaN or infinite.
    """
    plain = [{name: values(name, row[name]) for name in sorted(row)} for row in rows]
    names = list(plain[0])
    alone = names[0] if len(names) == 1 else None
    if form is Form.ROWS:
        document: Any = plain if alone is None else [row[alone] for row in plain]
    else:
        columns = {name: [row[name] for row in plain] for name in names}
        document = columns if alone is None else columns[alone]
    try:
        return json.dumps({form.value: document}, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    except ValueError:
        raise Refused(
            "The network answers these images with NaN or infinite numbers, which JSON does not have. Expected "
            "normalised images; numbers as large as these overflow float32 inside of the network."
        ) from None


def values(name: str, array: NDArray[Any]) -> Any:
    """An array as nested lists: numbers, text, or for names that end with _bytes {"b64": ...}."""
    if array.dtype == np.float32:
        # 0.1 in float32 is 0.10000000149011612 in float64: the shortest text that gives the same float32 instead.
        return array.astype(str).astype(np.float64).tolist()
    if array.dtype.kind in "OSU":
        return _texts(array.tolist(), as_bytes=name.endswith("_bytes"))
    return array.tolist()


def _texts(value: Any, *, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_texts(item, as_bytes=as_bytes) for item in value]  # pyright: ignore[reportUnknownVariableType]  # any depth
    raw = value if isinstance(value, bytes) else str(value).encode()
    return {"b64": base64.b64encode(raw).decode()} if as_bytes else raw.decode("utf-8", errors="replace")
