"""Keras files whose weights `model.quantize` changed: integers with scales, or numbers that float8 scales belong to.

Keras quantises dense layers and not convolutions, so that a network may stand beside a head of which the numbers mean
something else.

Source: keras/src/layers/core/dense.py (_int8_build, _int4_build, _float8_build) and keras/src/dtype_policies, 3.15.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from converters.errors import UnsupportedFile, some_of
from converters.formats.base import Reader

_POLICY = re.compile(r'"mode":\s*"([\w/-]{1,20})",\s*"source_name"|"dtype":\s*"(\w{1,20})_from_\w{1,20}"')
"""The policy of a quantised layer: an object, or its name such as `int8_from_float32`."""
_LEAVES = frozenset({"kernel_scale", "kernel_zero", "kernel_amax_history", "inputs_amax_history"})
"""Of such layers, in `.h5`."""
_FLOAT8 = 3
"""Inputs, kernel and gradients of the outputs: a scale and its history each, behind kernel and bias."""


def check_not_quantised(reader: Reader, text: str) -> None:
    """Raise `UnsupportedFile` for a file with quantised layers; `text` is its model's configuration, or empty."""
    modes = sorted({match[1] or match[2] for match in _POLICY.finditer(text)})
    layers = list(dict.fromkeys(_quantised(reader)))
    if not modes and not layers:
        return
    what = some_of(modes) if modes else "integers or scales beside kernels"
    where = f": {some_of(layers, count=3)}" if layers else ""
    raise UnsupportedFile(
        f"{reader.path} is of a quantised Keras model ({what}{where}). Expected floating-point weights. Save the model "
        "before model.quantize(...), and give that file."
    )


def _quantised(reader: Reader) -> Iterator[str]:
    """The layers whose variables are those of quantised ones."""
    shapes: dict[str, list[tuple[int, ...]]] = {}
    for name, info in reader.tensors.items():
        layer, _, leaf = name.rpartition("/")
        if leaf.isdigit() and layer.endswith("/vars"):
            layer = layer.removesuffix("/vars")
            shapes.setdefault(layer, []).append(info.shape)
        if leaf in _LEAVES or (info.dtype.kind in "iu" and len(info.shape) > 1):
            yield layer
    yield from (layer for layer, found in shapes.items() if _is_float8(found[-2 * _FLOAT8 :]))


def _is_float8(shapes: list[tuple[int, ...]]) -> bool:
    return len(shapes) == 2 * _FLOAT8 and shapes == [(), (max(shapes[-1], default=0),)] * _FLOAT8
