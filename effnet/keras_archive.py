"""Keras archives (`.keras`): written through `effnet_tf`, and checked before they get their name.

Any Keras opens such a file without this project. Beside Keras' own entries it holds `effnet.json`, the definition of
the network, which Keras ignores. `converters` reads them.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from converters import OutputError
from converters.formats.keras_archive import SPEC_ENTRY
from converters.formats.staging import check_output, disk_errors
from effnet.backends import Network
from effnet.choices import Backend
from effnet.frameworks import import_frameworks
from effnet_core import to_json

DEEP = (
    "Keras opens an archive with more calls inside each other than Python allows, for a network as deep as this one: "
    "call sys.setrecursionlimit(10_000) before keras.models.load_model."
)
NO_TEXTS: Mapping[str, str] = MappingProxyType({})
"""Nothing that travels along."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An archive that was written."""

    nbytes: int
    """Of the variables."""
    notes: tuple[str, ...]
    """What has to be known to open it."""


def write_keras_archive(
    network: Network,
    target: Path,
    *,
    dtype: str | None,
    overwrite: bool,
    sync: bool,
    texts: Mapping[str, str] = NO_TEXTS,
) -> Archive:
    """Build the Keras model, save it, load it again and compare every variable bit for bit; then give it its name.

    `dtype` is the type of the variables, float32 unless given; `sync` waits for the disk; `texts` are entries of the
    archive beside Keras' own.

    Raises `OutputError` when the target exists and is not to be overwritten, the disk refuses, or a variable differs.
    """
    check_output(target, overwrite=overwrite)
    if target.is_symlink():
        target = target.resolve()  # as the other formats: the file that it names is replaced, not the link
    import_frameworks([Backend.TF])
    from effnet_tf import create_model

    model: Any = create_model(network.spec, network.state, dtype=dtype or "float32")
    with disk_errors(target), tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        staged = Path(folder) / target.name
        model.save(staged)
        with zipfile.ZipFile(staged, "a") as archive:
            for name, text in {**texts, SPEC_ENTRY: to_json(network.spec)}.items():
                archive.writestr(name, text)
        found, notes = open_keras_archive(staged)
        _compare(model, found, target)
        if sync:
            with staged.open("rb") as file:
                os.fsync(file.fileno())
        check_output(target, overwrite=overwrite)
        staged.replace(target)
    return Archive(nbytes=sum(int(np.asarray(variable).nbytes) for variable in model.weights), notes=notes)


def open_keras_archive(path: Path) -> tuple[Any, tuple[str, ...]]:
    """The model in an archive, as plain Keras opens it, and what has to be done for that."""
    from effnet_tf._keras import deep_graphs

    load_model: Any = import_module("keras").models.load_model
    try:
        return load_model(path, compile=False), ()
    except RecursionError:
        with deep_graphs():
            return load_model(path, compile=False), (DEEP,)


def _compare(meant: Any, found: Any, target: Path) -> None:
    # `weights`, not `variables`: those hold dropout's random seed too, which Keras draws anew.
    for variable, again in zip(meant.weights, found.weights, strict=True):
        a, b = np.asarray(variable), np.asarray(again)
        if variable.path != again.path or a.dtype != b.dtype or a.tobytes() != b.tobytes():
            raise OutputError(f"{target}: the saved archive gave back another {variable.path}; nothing was written.")
