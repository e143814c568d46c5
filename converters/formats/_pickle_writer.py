"""The pickle of a state dict, written: a dict from names to tensors, each alone over its own storage."""

from __future__ import annotations

from collections.abc import Sequence

from converters.formats._arrays import little_endian
from converters.formats._torch_types import DTYPES, STORAGES
from converters.formats.base import TensorInfo

_MARK, _TUPLE, _FALSE, _CALL, _PERSISTENT = b"(", b"t", b"\x89", b"R", b"Q"


def can_hold(info: TensorInfo) -> bool:
    """True when PyTorch has the dtype."""
    return any(names.holds(little_endian(info.dtype)) for names in (STORAGES, DTYPES))


def dump_state(tensors: Sequence[TensorInfo]) -> bytes:
    """The pickle, protocol 2 (the one that every PyTorch reads); the storage of tensor i has the key `str(i)`."""
    names = _Globals()
    parts = [b"\x80\x02}", _MARK]
    for index, info in enumerate(tensors):
        parts += [_text(info.name), _tensor(info, str(index), names)]
    return b"".join([*parts, b"u."])


class _Globals:
    """Writes each global once and recalls it afterwards."""

    def __init__(self) -> None:
        self._indices: dict[str, int] = {}

    def get(self, module: str, name: str) -> bytes:
        full = f"{module}\n{name}\n"
        if full in self._indices:
            return b"h" + bytes([self._indices[full]])
        # One byte is enough: there are fewer globals than dtypes and a handful.
        self._indices[full] = index = len(self._indices)
        return b"c" + full.encode() + b"q" + bytes([index])


def _tensor(info: TensorInfo, key: str, names: _Globals) -> bytes:
    dtype = little_endian(info.dtype)
    typed = STORAGES.holds(dtype)
    count = info.nbytes // dtype.itemsize if typed else info.nbytes
    storage_class = (
        names.get("torch", STORAGES.key_of(dtype)) if typed else names.get("torch.storage", "UntypedStorage")
    )
    function = names.get("torch._utils", "_rebuild_tensor_v2" if typed else "_rebuild_tensor_v3")
    strides: list[int] = []
    step = 1
    for length in reversed(info.shape):
        strides.insert(0, step)
        step *= max(length, 1)
    return b"".join(
        [
            function,
            _MARK,
            *(_MARK, _text("storage"), storage_class, _text(key), _text("cpu"), _integer(count), _TUPLE, _PERSISTENT),
            _integer(0),
            _integers(info.shape),
            _integers(strides),
            _FALSE,
            *(names.get("collections", "OrderedDict"), b")", _CALL),
            b"" if typed else names.get("torch", DTYPES.key_of(dtype)),
            _TUPLE,
            _CALL,
        ]
    )


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def _integer(value: int) -> bytes:
    if value < 1 << 31:
        return b"J" + value.to_bytes(4, "little")
    return b"\x8a\x09" + value.to_bytes(9, "little")


def _integers(values: Sequence[int]) -> bytes:
    return b"".join([_MARK, *(_integer(value) for value in values), _TUPLE])
