"""PyTorch's names for storages and dtypes, and what a pickle says about a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.formats.dtypes import BFLOAT16, Dtypes

STORAGES = Dtypes(
    {
        "FloatStorage": "<f4",
        "DoubleStorage": "<f8",
        "HalfStorage": "<f2",
        "BFloat16Storage": BFLOAT16,
        "ByteStorage": "u1",
        "CharStorage": "i1",
        "ShortStorage": "<i2",
        "IntStorage": "<i4",
        "LongStorage": "<i8",
        "BoolStorage": "?",
        "ComplexFloatStorage": "<c8",
        "ComplexDoubleStorage": "<c16",
    }
)
"""Classes of the module `torch` and of `torch.cuda` that name the dtype of a storage."""

DTYPES = Dtypes(
    {
        "uint16": "<u2",
        "uint32": "<u4",
        "uint64": "<u8",
        "float8_e4m3fn": "float8_e4m3fn",
        "float8_e4m3fnuz": "float8_e4m3fnuz",
        "float8_e5m2": "float8_e5m2",
        "float8_e5m2fnuz": "float8_e5m2fnuz",
        "float8_e8m0fnu": "float8_e8m0fnu",
    }
)
"""dtypes without a storage class of their own: their tensors lie over untyped bytes and name the dtype themselves."""


@dataclass(kw_only=True, slots=True, eq=False)
class Storage:
    """A record of the archive: `count` items of the dtype, or bytes where the dtype is None.

    Never changed; a frozen one would take three times as long to make, and a file has thousands.
    """

    key: str
    dtype: np.dtype[Any] | None
    count: int

    @property
    def nbytes(self) -> int:
        """Bytes of the record."""
        return self.count * (1 if self.dtype is None else self.dtype.itemsize)


@dataclass(kw_only=True, slots=True, eq=False)
class TensorView:
    """A tensor over a storage; offset and strides count items. Never changed, see `Storage`."""

    storage: Storage
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def contiguous(self) -> bool:
        """True when its items follow each other in C order."""
        step = 1
        for length, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if length != 1 and stride != step:
                return 0 in self.shape
            step *= length
        return True

    @property
    def span(self) -> int:
        """Items from its first to behind its last one."""
        if 0 in self.shape:
            return 0
        return 1 + sum([(length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True)])
