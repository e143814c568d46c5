"""Named arrays and plain values in a folder, between a process and its worker.

Every file gets its name when it is complete. Names of arrays may be anything: they stand in an array of their own.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Groups = Mapping[str, Mapping[str, Array]]
"""Group -> name -> array."""
_NAMES = "names"
_NATIVE = "biufc"
"""Kinds of number that the file format knows; others, such as bfloat16, travel as float32, which holds them exactly."""


def write(folder: Path, name: str, values: Mapping[str, Any], groups: Groups) -> None:
    """Write groups of arrays and then `NAME.json` with the values (JSON) and the groups' names."""
    for group, arrays in groups.items():
        with _complete(folder / f"{name}-{group}.npz") as file:
            _save(file, arrays)
    with _complete(folder / f"{name}.json") as file:
        file.write(json.dumps({"values": dict(values), "groups": list(groups)}).encode())


def read(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, dict[str, Array]]]:
    """What `write` wrote. Raises `FileNotFoundError` where it did not come to the end."""
    document = json.loads((folder / f"{name}.json").read_bytes())
    return document["values"], {group: _load(folder / f"{name}-{group}.npz") for group in document["groups"]}


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
