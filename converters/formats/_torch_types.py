"""PyTorch's names for storages and dtypes, and what a pickle says about a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

STORAGES: Mapping[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": BFLOAT16,
    "ByteStorage": np.dtype("u1"),
    "CharStorage": np.dtype("i1"),
    "ShortStorage": np.dtype("<i2"),
    "IntStorage": np.dtype("<i4"),
    "LongStorage": np.dtype("<i8"),
    "BoolStorage": np.dtype("?"),
    "ComplexFloatStorage": np.dtype("<c8"),
    "ComplexDoubleStorage": np.dtype("<c16"),
}
"""Classes of the module `torch` and of `torch.cuda` that name the dtype of a storage."""

DTYPES: Mapping[str, np.dtype[Any]] = {
    "uint16": np.dtype("<u2"),
    "uint32": np.dtype("<u4"),
    "uint64": np.dtype("<u8"),
    "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e4m3fnuz": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "float8_e5m2fnuz": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "float8_e8m0fnu": np.dtype(ml_dtypes.float8_e8m0fnu),
}
"""dtypes without a storage class of their own: their tensors lie over untyped bytes and name the dtype themselves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """A record of the archive: `count` items of the dtype, or bytes where the dtype is None."""

    key: str
    dtype: np.dtype[Any] | None
    count: int

    @property
    def nbytes(self) -> int:
        """Bytes of the record."""
        return self.count * (1 if self.dtype is None else self.dtype.itemsize)


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorView:
    """A tensor over a storage; offset and strides count items."""

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
