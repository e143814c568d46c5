"""The globals that a pickle may name. None of them is ever imported or called: each stands for what it would build.

Training programs keep objects of their own classes beside the tensors (options, scores, paths). Those become
placeholders without content. What builds tensors is in the table, what runs commands is refused by name: neither is
needed for safety, since nothing is called, but a file that asks for a command should not pass without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np

from converters.formats._torch_types import DTYPES, STORAGES
from converters.formats.dtypes import BFLOAT16, dtype_of


class Kind(Enum):
    """What is built when the pickle calls a global."""

    MAPPING = auto()
    TENSOR = auto()
    """(storage, offset, size, stride, ...) with the dtype of the storage."""
    TENSOR_WITH_DTYPE = auto()
    """(storage, offset, size, stride, requires_grad, hooks, dtype, ...)."""
    PARAMETER = auto()
    """(tensor, ...)."""
    SIZE = auto()
    STORAGE = auto()
    """Names a storage's dtype; never called."""
    DTYPE = auto()
    """Names a dtype; never called."""
    NAMESPACE = auto()
    """An object that is nothing but its attributes."""
    OTHER = auto()
    """Something that is no tensor, whatever it is: nothing is built of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Global:
    """A name that a pickle may use, and what it stands for."""

    name: str
    kind: Kind
    dtype_name: str | None = None

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """What it names; None for bytes of no type."""
        return None if self.dtype_name is None else dtype_of(self.dtype_name)


_NAMED = {
    "collections.OrderedDict": Kind.MAPPING,
    "torch._utils._rebuild_tensor": Kind.TENSOR,
    "torch._utils._rebuild_tensor_v2": Kind.TENSOR,
    "torch._utils._rebuild_tensor_v3": Kind.TENSOR_WITH_DTYPE,
    "torch._utils._rebuild_parameter": Kind.PARAMETER,
    "torch._utils._rebuild_parameter_with_state": Kind.PARAMETER,
    "torch.Size": Kind.SIZE,
    "torch.storage.UntypedStorage": Kind.STORAGE,
    "torch.device": Kind.OTHER,
    "torch.serialization._get_layout": Kind.OTHER,
    "_codecs.encode": Kind.OTHER,
    "collections.Counter": Kind.OTHER,
    "collections.defaultdict": Kind.OTHER,
    "collections.deque": Kind.OTHER,
    "argparse.Namespace": Kind.NAMESPACE,
    "types.SimpleNamespace": Kind.NAMESPACE,
}
_BUILTINS = (
    *("set", "frozenset", "complex", "bytearray", "dict", "list", "int", "float"),
    *("range", "slice", "tuple", "str", "bytes", "bool"),
)
_REFUSED = frozenset(
    {
        *("__builtin__", "_pickle", "_posixsubprocess", "asyncio", "builtins", "bdb", "cPickle", "cloudpickle"),
        *("code", "codeop", "collections", "commands", "concurrent", "copy_reg", "copyreg", "ctypes"),
        *("dill", "functools", "gc", "imp", "importlib", "inspect", "io", "joblib"),
        *("marshal", "multiprocessing", "nt", "operator", "os", "pdb", "pickle", "pip"),
        *("platform", "popen2", "posix", "pty", "pydoc", "requests", "runpy", "shelve"),
        *("shutil", "signal", "site", "socket", "subprocess", "sys", "tempfile", "threading"),
        *("timeit", "torch", "types", "urllib", "webbrowser", "zipimport"),
    }
)
"""Packages of which only what the table has is allowed: they run code or, as torch, build tensors."""
_HARMLESS_PARTS = ("torch.nn.modules.", "torch.optim.", "torch.torch_version.")
"""Where in those packages there are only classes of objects that are no tensors."""
_LONGEST_NAME = 200
_PLAIN_DTYPES = {
    "float32": "<f4",
    "float64": "<f8",
    "float16": "<f2",
    "bfloat16": BFLOAT16,
    "uint8": "u1",
    "int8": "i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "bool": "?",
    "complex64": "<c8",
    "complex128": "<c16",
}


def _table() -> dict[str, Global]:
    found = [Global(name=name, kind=kind) for name, kind in _NAMED.items()]
    found += [
        Global(name=f"{module}.{name}", kind=Kind.OTHER) for module in ("builtins", "__builtin__") for name in _BUILTINS
    ]
    found += [
        Global(name=f"{module}.{name}", kind=Kind.STORAGE, dtype_name=dtype_name)
        for module in ("torch", "torch.cuda")
        for name, dtype_name in STORAGES.names.items()
    ]
    found += [
        Global(name=f"torch.{name}", kind=Kind.DTYPE, dtype_name=dtype_name)
        for name, dtype_name in (*_PLAIN_DTYPES.items(), *DTYPES.names.items())
    ]
    return {entry.name: entry for entry in found}


GLOBALS: Mapping[str, Global] = _table()


def placeholder(module: str, name: str) -> Global | None:
    """What stands for a global that is not in the table; None for one that is refused."""
    full, last = f"{module}.{name}", name.rpartition(".")[2]
    # A method of a class (`Path.touch`) is no class, whose objects alone a program keeps.
    is_method = "." in name and not last[:1].isupper()
    if not module or not last or is_method or len(full) > _LONGEST_NAME:
        return None
    if module.partition(".")[0] in _REFUSED and not full.startswith(_HARMLESS_PARTS):
        return None
    return Global(name=full, kind=Kind.OTHER)
