"""Keras archives (`.keras`): written through `effnet_tf`, checked before they get their name, and read back.

Any Keras opens such a file without this project. Beside Keras' own entries it holds `effnet.json`, the definition of
the network, which Keras ignores. Reading takes that definition and the weights, without Keras: nothing that the
archive's configuration names is imported or run. An archive is told by its entries, not by the name of the file.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from converters import Ema, EmaUnavailable, FormatError, OutputError, SourceOptions, UnknownDialect
from converters.dialects.native import NATIVE
from converters.staging import check_output, disk_errors
from converters.whose_names import find_dialect
from effnet.backends import Network
from effnet.choices import Backend
from effnet.files import check_regular
from effnet.formats import KERAS
from effnet.frameworks import import_frameworks
from effnet.keras_weights import read_weights
from effnet_core import (
    NetworkSpec,
    canonical_name,
    from_json,
    preprocessing,
    resolve,
    to_json,
    total_count,
    with_classes,
    without_classifier,
    without_head,
)

_SPEC_ENTRY = "effnet.json"
_WEIGHTS_ENTRY = "model.weights.h5"
_KERAS_ENTRIES = frozenset({"config.json", _WEIGHTS_ENTRY})
_SPEC_LIMIT = 16 << 20
"""Bytes; the definition of the largest network has less than 100 kB."""


# zipfile and zlib report damage, encryption and unknown compression with any of these.
_DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, ValueError)


def is_keras_archive(path: Path, *, named: str | None = None) -> bool:
    """Whether a file holds a Keras archive, by its own bytes, or by the format that the user named."""
    if named is not None:
        return named == KERAS
    try:
        check_regular(path)
        with zipfile.ZipFile(path) as archive:
            return _KERAS_ENTRIES.issubset(archive.namelist())
    except (OSError, *_DAMAGE):
        return False


def write_keras_archive(network: Network, target: Path, *, dtype: str | None, overwrite: bool, sync: bool) -> int:
    """Build the Keras model, save it, load it again and compare every variable bit for bit; then give it its name.

    `dtype` is the type of the variables, float32 unless given; `sync` waits for the disk. Gives the bytes of the
    variables. Raises `OutputError` when the target exists and is not to be overwritten, the disk refuses, or a
    variable differs.
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
            archive.writestr(_SPEC_ENTRY, to_json(network.spec))
        _compare(model, import_module("keras").models.load_model(staged, compile=False), target)
        if sync:
            with staged.open("rb") as file:
                os.fsync(file.fileno())
        check_output(target, overwrite=overwrite)
        staged.replace(target)
    return sum(int(np.asarray(variable).nbytes) for variable in model.weights)


def read_keras_archive(path: Path, options: SourceOptions) -> Network:
    """The network of an archive; the definition is the one in it, changed as `options` say.

    Raises `FormatError` for a file that is damaged or holds no definition, `CheckpointMismatch` for the weights of
    another network, `EmaUnavailable` and `UnknownDialect` for averages and names that no archive has, and
    `MissingFramework` without h5py.
    """
    _check_options(path, options)
    stored = _entry(path, _SPEC_ENTRY, limit=_SPEC_LIMIT)
    spec, note = _definition(path, stored, options)
    # Float64, some room for HDF5's own structures.
    weights = _entry(path, _WEIGHTS_ENTRY, limit=8 * total_count(spec) + _SPEC_LIMIT)
    if weights is None:
        raise FormatError(f"{path} is no Keras archive: expected the entry {_WEIGHTS_ENTRY} in it.")
    state = read_weights(weights, spec, where=str(path))
    return Network(spec=spec, state=state, name=str(path), format=KERAS, notes=(note,))


def _check_options(path: Path, options: SourceOptions) -> None:
    if options.ema is Ema.ALWAYS:
        raise EmaUnavailable(
            f"{path} is a Keras archive, which holds no moving averages. Use --ema auto (ema='auto') to take the "
            "weights that it has."
        )
    if options.dialect is not None and find_dialect(options.dialect) is not NATIVE:
        raise UnknownDialect(
            f"{path} is a Keras archive, whose names are those of {NATIVE.name}; found {options.dialect!r}. Leave out "
            "--from (dialect=...)."
        )


def _definition(path: Path, data: bytes | None, options: SourceOptions) -> tuple[NetworkSpec, str]:
    if options.spec is not None:
        return options.spec, "The architecture is the definition that was given."
    stored = None if data is None else from_json(data.decode("utf-8", errors="replace"))
    if stored is not None and (options.arch in (None, stored.name) or canonical_name(options.arch) == stored.name):
        return _changed(stored, options), f"The architecture is {stored.name}, as the definition in the file says."
    if options.arch is None:
        raise FormatError(
            f"{path} holds no definition of its network ({_SPEC_ENTRY}); files that `effnet convert` wrote do. "
            "Name the network: --arch, and --width, --depth, --num-classes where they differ from the published ones."
        )
    spec = resolve(
        options.arch,
        width=options.width,
        depth=options.depth,
        num_classes=options.num_classes,
        recipe=options.recipe,
    )
    return spec, "The architecture is the one that you named."


def _changed(stored: NetworkSpec, options: SourceOptions) -> NetworkSpec:
    """The definition in the file with what the user says instead; whether the weights fit is seen later."""
    spec = stored
    if options.width not in (None, stored.width) or options.depth not in (None, stored.depth):
        resolved = resolve(
            stored.name,
            width=stored.width if options.width is None else options.width,
            depth=stored.depth if options.depth is None else options.depth,
            num_classes=None if stored.classifier is None else stored.classifier.num_classes,
            in_channels=stored.stem.in_channels,
        )
        spec = replace(resolved, preprocessing=stored.preprocessing)
        if stored.classifier is None:
            spec = without_classifier(spec) if stored.head is not None else without_head(spec)
    if options.num_classes is not None:
        spec = with_classes(spec, options.num_classes)
    if options.recipe is not None:
        resolution = spec.preprocessing.resolution
        spec = replace(spec, preprocessing=preprocessing(options.recipe, resolution=resolution))
    return spec


def _entry(path: Path, name: str, *, limit: int) -> bytes | None:
    try:
        check_regular(path)
        with zipfile.ZipFile(path) as archive:
            if name not in archive.namelist():
                return None
            size = archive.getinfo(name).file_size
            if size > limit:
                raise FormatError(f"{path}: the entry {name} has {size} bytes; expected at most {limit}.")
            return archive.read(name)
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}.") from None
    except _DAMAGE as error:
        raise FormatError(f"{path} is no Keras archive, which is a zip file: {error}.") from None


def _compare(meant: Any, found: Any, target: Path) -> None:
    # `weights`, not `variables`: those hold dropout's random seed too, which Keras draws anew.
    for variable, again in zip(meant.weights, found.weights, strict=True):
        a, b = np.asarray(variable), np.asarray(again)
        if variable.path != again.path or a.dtype != b.dtype or a.tobytes() != b.tobytes():
            raise OutputError(f"{target}: the saved archive gave back another {variable.path}; nothing was written.")
