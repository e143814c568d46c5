"""Named arrays and plain values in a folder, between a process and its worker.

Every file gets its name when it is complete. Names of arrays may be anything: they stand in an array of their own.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Groups = Mapping[str, Mapping[str, Array]]
"""Group -> name -> array."""
Group = tuple[str, Mapping[str, Array]]
_NAMES = "names"
_NATIVE = "biufc"
"""Kinds of number that the file format knows; others, such as bfloat16, travel as float32, which holds them exactly."""


def write(folder: Path, name: str, values: Mapping[str, Any], groups: Groups | Iterator[Group]) -> None:
    """Write groups of arrays, one at a time, and then `NAME.json` with the values (JSON) and the groups' names."""
    names: list[str] = []
    for group, arrays in groups if isinstance(groups, Iterator) else groups.items():
        with _complete(folder / f"{name}-{group}.npz") as file:
            _save(file, arrays)
        names.append(group)
    with _complete(folder / f"{name}.json") as file:
        file.write(json.dumps({"values": dict(values), "groups": names}).encode())


def read(folder: Path, name: str) -> tuple[dict[str, Any], Groups]:
    """What `write` wrote; a group is read from its file whenever it is asked for.

    Raises `FileNotFoundError` where it did not come to the end.
    """
    document = json.loads((folder / f"{name}.json").read_bytes())
    return document["values"], _Stored(folder, name, document["groups"])


class _Stored(Mapping[str, Mapping[str, Array]]):
    """Groups in their files."""

    def __init__(self, folder: Path, name: str, groups: list[str]) -> None:
        self._folder, self._name, self._groups = folder, name, groups

    def __getitem__(self, group: str) -> Mapping[str, Array]:
        if group not in self._groups:
            raise KeyError(group)
        return _load(self._folder / f"{self._name}-{group}.npz")

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)


@contextmanager
def _complete(path: Path) -> Generator[IO[bytes]]:
    temporary = path.with_name(f"{path.name}.unfinished")
    with temporary.open("wb") as file:
        yield file
    temporary.replace(path)


def _save(file: IO[bytes], arrays: Mapping[str, Array]) -> None:
    numbered = {str(index): _native(array) for index, array in enumerate(arrays.values())}
    np.savez(file, allow_pickle=False, **{_NAMES: np.array(list(arrays), dtype=np.str_)}, **numbered)


def _native(array: Array) -> Array:
    return array if array.dtype.kind in _NATIVE else array.astype(np.float32)


def _load(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as file:
        return {str(name): file[str(index)] for index, name in enumerate(file[_NAMES])}
