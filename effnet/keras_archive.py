"""Keras archives (`.keras`): written through `effnet_tf`, and checked before they get their name.

Any Keras opens such a file without this project. Beside Keras' own entries it holds `effnet.json`, the definition of
the network, which Keras ignores. `converters` reads them.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from converters import OutputError
from converters.formats.keras_archive import SPEC_ENTRY
from converters.staging import check_output, disk_errors
from effnet.backends import Network
from effnet.choices import Backend
from effnet.frameworks import import_frameworks
from effnet_core import to_json

NO_TEXTS: Mapping[str, str] = MappingProxyType({})
"""Nothing that travels along."""


def write_keras_archive(
    network: Network,
    target: Path,
    *,
    dtype: str | None,
    overwrite: bool,
    sync: bool,
    texts: Mapping[str, str] = NO_TEXTS,
) -> int:
    """Build the Keras model, save it, load it again and compare every variable bit for bit; then give it its name.

    `dtype` is the type of the variables, float32 unless given; `sync` waits for the disk; `texts` are entries of the
    archive beside Keras' own. Gives the bytes of the variables.

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
        _compare(model, import_module("keras").models.load_model(staged, compile=False), target)
        if sync:
            with staged.open("rb") as file:
                os.fsync(file.fileno())
        check_output(target, overwrite=overwrite)
        staged.replace(target)
    return sum(int(np.asarray(variable).nbytes) for variable in model.weights)


def _compare(meant: Any, found: Any, target: Path) -> None:
    # `weights`, not `variables`: those hold dropout's random seed too, which Keras draws anew.
    for variable, again in zip(meant.weights, found.weights, strict=True):
        a, b = np.asarray(variable), np.asarray(again)
        if variable.path != again.path or a.dtype != b.dtype or a.tobytes() != b.tobytes():
            raise OutputError(f"{target}: the saved archive gave back another {variable.path}; nothing was written.")
