"""HDF5 files that h5py writes and Keras never does, each with what it is refused for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ONES = np.ones((2, 3), "f4")


def _soft(file: Any) -> None:
    file["layers/dense/vars/1"] = h5py.SoftLink("/layers/dense/vars/0")


def _soft_loop(file: Any) -> None:
    file["layers/loop"] = h5py.SoftLink("/layers/loop")


def _outside(file: Any) -> None:
    file["layers/dense/vars/1"] = h5py.ExternalLink("other.h5", "/secret")


def _two_names(file: Any) -> None:
    file["layers/dense/vars/1"] = file["layers/dense/vars/0"]


def _cycle(file: Any) -> None:
    file["layers/dense/again"] = file["layers"]


def _deep(file: Any) -> None:
    file.create_group("/".join("x" * 40))


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(2, 3), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "secret", shape=(2, 3))
    file.create_virtual_dataset("layers/dense/vars/1", layout)


def _external(file: Any) -> None:
    file.create_dataset("layers/dense/vars/1", (2, 3), "f4", external=[("/etc/passwd", 0, 24)])


def _bomb(file: Any) -> None:
    file.create_dataset("layers/dense/vars/1", (1 << 20, 1 << 20), "f4", chunks=(1, 1024), compression="gzip")


def _unwritten(file: Any) -> None:
    file.create_dataset("layers/dense/vars/1", (1 << 20, 1 << 10), "f4")


def _packed(file: Any) -> None:
    file.create_dataset("layers/dense/vars/1", data=ONES, compression="gzip")


def _dense_group(file: Any) -> None:
    group = file.create_group("layers/many", track_order=True)
    for number in range(20):
        group[f"layer{number}"] = ONES


def _dense_attributes(file: Any) -> None:
    group = file.create_group("layers/many/vars", track_order=True)
    for number in range(20):
        group.attrs[f"attribute{number}"] = "text"


REFUSED: Mapping[str, tuple[Callable[[Any], None], str]] = {
    "soft link": (_soft, "not followed"),
    "soft link to itself": (_soft_loop, "not followed"),
    "link to another file": (_outside, "not followed"),
    "two names of one dataset": (_two_names, "another object"),
    "group in itself": (_cycle, "another object"),
    "forty levels": (_deep, "levels"),
    "virtual": (_virtual, "other files"),
    "numbers in another file": (_external, "another file"),
    "four terabytes in no chunk": (_bomb, "chunks"),
    "four gigabytes never written": (_unwritten, "are there"),
    "compressed": (_packed, "h5repack"),
    "dense storage of a group": (_dense_group, "dense"),
    "dense storage of attributes": (_dense_attributes, "dense"),
}


def write(path: Path, change: Callable[[Any], None] | None = None, **options: Any) -> Path:
    """A small `.weights.h5`, changed."""
    with h5py.File(path, "w", **options) as file:
        file["layers/dense/vars/0"] = ONES
        file["layers/dense/vars"].attrs["name"] = "classifier"
        if change is not None:
            change(file)
    return path
