"""What the calls in a state dict's pickle build: storages and tensors, with every number checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from converters.formats._arrays import checked_nbytes
from converters.formats._pickle_globals import Global, Kind
from converters.formats._torch_types import Storage, TensorView

_MOST_ITEMS = 100
_MOST_COUNTED = 1 << 62


class Broken(Exception):
    """The pickle contradicts itself."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that is no tensor and is not built."""

    name: str
    """Of its class, or of what would have made it."""


@dataclass(slots=True)
class Namespace:
    """An object that is nothing but its attributes."""

    name: str
    attributes: Mapping[object, object]


def items(value: object) -> list[object]:
    """The items of a short list or tuple: arguments, or lengths of a shape."""
    # A long one, kept in the memo and used by every instruction, would take hours.
    if isinstance(value, (list, tuple)) and len(values := cast("list[object]", value)) <= _MOST_ITEMS:
        return list(values)
    raise Broken("a list or tuple is missing or too long")


def storage_of(identifier: object) -> Storage:
    """The storage that a persistent identifier names: ("storage", class, key, device, count)."""
    fields = items(identifier)
    if len(fields) >= 5 and fields[0] == "storage":
        kind, key, count = fields[1], fields[2], fields[4]
        if isinstance(kind, Global) and kind.kind is Kind.STORAGE and isinstance(key, str):
            return Storage(key=key, dtype=kind.dtype, count=_count(count))
    raise Broken("a persistent identifier that names no storage")


def build(function: Global, given: object) -> object:
    """What a call of the global with these arguments gives."""
    if function.kind is Kind.OTHER:
        return Opaque(function.name)
    arguments = items(given)
    if function.kind is Kind.TENSOR and len(arguments) >= 4 and isinstance(arguments[0], Storage):
        return _tensor(arguments, arguments[0], arguments[0].dtype)
    if function.kind in (Kind.MAPPING, Kind.NAMESPACE) and not arguments:
        return {} if function.kind is Kind.MAPPING else Namespace(function.name, {})
    if function.kind is Kind.SIZE and len(arguments) == 1:
        return tuple(items(arguments[0]))
    if function.kind is Kind.PARAMETER and arguments and isinstance(arguments[0], TensorView):
        return arguments[0]
    if function.kind is Kind.TENSOR_WITH_DTYPE and len(arguments) >= 7 and isinstance(arguments[0], Storage):
        dtype = arguments[6]
        if isinstance(dtype, Global) and dtype.kind is Kind.DTYPE:
            return _tensor(arguments, arguments[0], dtype.dtype)
    raise Broken(f"{function.name} with arguments that do not fit")


def _tensor(arguments: list[object], storage: Storage, dtype: np.dtype[Any] | None) -> TensorView:
    offset = _count(arguments[1])
    shape, strides = _counts(arguments[2]), _counts(arguments[3])
    if dtype is None or len(shape) != len(strides):
        raise Broken("a tensor without a dtype, or with more lengths than strides")
    checked_nbytes(shape, dtype, where="a tensor")
    view = TensorView(storage=storage, dtype=dtype, offset=offset, shape=shape, strides=strides)
    if (offset + view.span) * dtype.itemsize > storage.nbytes:
        raise Broken("a tensor reaches beyond its storage")
    return view


def _count(value: object) -> int:
    return _counts((value,))[0]


def _counts(values: object) -> tuple[int, ...]:
    found = items(values)
    for value in found:
        # bool is a subclass of int, and True is no length.
        if type(value) is not int or not 0 <= value < _MOST_COUNTED:
            raise Broken("an offset, length or stride is no integer from 0 to 2**62")
    return tuple(cast("list[int]", found))
