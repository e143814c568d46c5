"""What the calls in a state dict's pickle build: storages and tensors, with every number checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from converters.formats._arrays import checked_nbytes
from converters.formats._pickle_globals import Global, Kind
from converters.formats._torch_types import Storage, TensorView

# Looked up once: a file asks for them thousands of times, and a member of an enumeration takes its time.
_STORAGE, _TENSOR, _MAPPING = Kind.STORAGE, Kind.TENSOR, Kind.MAPPING
_WITHOUT_ARGUMENTS = (Kind.MAPPING, Kind.NAMESPACE)
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


def items(value: object) -> Sequence[object]:
    """The items of a short list or tuple: arguments, or lengths of a shape."""
    # A long one, kept in the memo and used by every instruction, would take hours.
    if (
        isinstance(value, (list, tuple))
        and len(values := cast("list[object] | tuple[object, ...]", value)) <= _MOST_ITEMS
    ):
        return values
    raise Broken("a list or tuple is missing or too long")


def storage_of(identifier: object) -> Storage:
    """The storage that a persistent identifier names: ("storage", class, key, device, count)."""
    fields = items(identifier)
    if len(fields) >= 5 and fields[0] == "storage":
        kind, key, count = fields[1], fields[2], fields[4]
        if isinstance(kind, Global) and kind.kind is _STORAGE and isinstance(key, str):
            return Storage(key=key, dtype=kind.dtype, count=_count(count))
    raise Broken("a persistent identifier that names no storage")


def build(function: Global, given: object) -> object:
    """What a call of the global with these arguments gives."""
    kind = function.kind
    if kind is Kind.OTHER:
        return Opaque(function.name)
    arguments = items(given)
    if kind is _TENSOR and len(arguments) >= 4 and isinstance(arguments[0], Storage):
        return _tensor(arguments, arguments[0], arguments[0].dtype)
    if kind in _WITHOUT_ARGUMENTS and not arguments:
        return {} if kind is _MAPPING else Namespace(function.name, {})
    if kind is Kind.SIZE and len(arguments) == 1:
        return tuple(items(arguments[0]))
    if kind is Kind.PARAMETER and arguments and isinstance(arguments[0], TensorView):
        return arguments[0]
    if kind is Kind.TENSOR_WITH_DTYPE and len(arguments) >= 7 and isinstance(arguments[0], Storage):
        dtype = arguments[6]
        if isinstance(dtype, Global) and dtype.kind is Kind.DTYPE:
            return _tensor(arguments, arguments[0], dtype.dtype)
    raise Broken(f"{function.name} with arguments that do not fit")


def _tensor(arguments: Sequence[object], storage: Storage, dtype: np.dtype[Any] | None) -> TensorView:
    offset = _count(arguments[1])
    shape = tuple([_count(length) for length in items(arguments[2])])
    strides = tuple([_count(stride) for stride in items(arguments[3])])
    if dtype is None or len(shape) != len(strides):
        raise Broken("a tensor without a dtype, or with more lengths than strides")
    checked_nbytes(shape, dtype, where="a tensor")
    view = TensorView(storage=storage, dtype=dtype, offset=offset, shape=shape, strides=strides)
    if (offset + view.span) * dtype.itemsize > storage.nbytes:
        raise Broken("a tensor reaches beyond its storage")
    return view


def _count(value: object) -> int:
    # bool is a subclass of int, and True is no length.
    if type(value) is int and 0 <= value < _MOST_COUNTED:
        return value
    raise Broken("an offset, length or stride is no integer from 0 to 2**62")
