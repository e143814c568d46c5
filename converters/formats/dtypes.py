"""Types of numbers by the names that formats give them, those of ml_dtypes among them.

NumPy has no bfloat16 and no float8. Few files need them, and importing ml_dtypes takes as long as reading a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import numpy as np

BFLOAT16 = "bfloat16"
"""The name of the dtype."""
_BEGINNINGS = (BFLOAT16, "float8_")
"""Of names in ml_dtypes."""

Key = TypeVar("Key")


@cache
def dtype_of(name: str) -> np.dtype[Any]:
    """The dtype of a name or code of NumPy, or of a name in ml_dtypes."""
    if not name.startswith(_BEGINNINGS):
        return np.dtype(name)
    import ml_dtypes  # noqa: PLC0415 - see above

    return np.dtype(getattr(ml_dtypes, name))


class Dtypes(Mapping[Key, np.dtype[Any]]):
    """Little-endian dtypes by the keys of a format, and the other way round."""

    def __init__(self, names: Mapping[Key, str]) -> None:
        """`names` gives for each key what `dtype_of` takes; no two are the same type."""
        self.names = names
        self._keys: dict[np.dtype[Any], Key] = {}

    def __getitem__(self, key: Key) -> np.dtype[Any]:
        return dtype_of(self.names[key])

    def __contains__(self, key: object) -> bool:
        return key in self.names

    def __iter__(self) -> Iterator[Key]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def key_of(self, dtype: np.dtype[Any]) -> Key:
        """The key of a little-endian type. Raises `KeyError` where the format has none for it."""
        if dtype not in self._keys:
            # Without asking for the types of ml_dtypes, unless it is one of them.
            is_other = dtype.name.startswith(_BEGINNINGS)
            names = [(key, name) for key, name in self.names.items() if name.startswith(_BEGINNINGS) == is_other]
            self._keys |= {dtype_of(name): key for key, name in names}
        return self._keys[dtype]

    def holds(self, dtype: np.dtype[Any]) -> bool:
        """Whether the format has a key for a little-endian type."""
        try:
            self.key_of(dtype)
        except KeyError:
            return False
        return True
