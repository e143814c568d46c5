"""The numbers of a certificate: digests of files and inputs, and what networks gave, in few numbers."""

from __future__ import annotations

import hashlib
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import Checkpoint
from converters.errors import UnreadableFile
from converters.formats.companions import COMPANIONS
from converters.formats.tensor_bundle import METADATA_SUFFIX
from effnet.certificate.schema import CertifiedDistance, CertifiedLayer, FileDigest, LastOutput, LayerOutput
from effnet.files import check_regular
from effnet.parity_engine.compare import Comparison, Distance, Outputs

Array = NDArray[Any]
_COMPANIONS = (*COMPANIONS, "model.safetensors.index.json", "saved_model.pb")
"""What folders hold beside arrays that says what these are."""
_DATA = re.compile(r"\.data-[0-9]+-of-[0-9]+$")


def checkpoint_files(checkpoint: Checkpoint) -> tuple[Path, ...]:
    """The files that an open checkpoint lies in, sorted: one, or those of a bundle, a folder or a set of shards."""
    path = checkpoint.path
    places = (checkpoint.reader.location(name) for name in checkpoint.reader.tensors)
    found = {place.path for place in places if place is not None and _is_near(place.path, path)}
    prefixes = {str(file).removesuffix(ending[0]) for file in found if (ending := _DATA.search(file.name))}
    found |= {Path(prefix + ending) for prefix in prefixes for ending in (".index", METADATA_SUFFIX)}
    if path.is_file():
        found.add(path)
    elif path.is_dir():
        found |= {path / name for name in _COMPANIONS}
    return tuple(sorted(file for file in found if file.is_file()))


def _is_near(file: Path, named: Path) -> bool:
    """Whether a file belongs to what was named; an archive's contents may lie unpacked somewhere else."""
    return file.absolute().is_relative_to((named if named.is_dir() else named.parent).absolute())


def file_digest(file: Path, *, folder: Path | None) -> FileDigest:
    """Size and SHA-256 of a file, named from a folder, by its name alone without one. Raises `UnreadableFile`."""
    try:
        check_regular(file)
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            size = opened.tell()
    except OSError as error:
        raise UnreadableFile(f"{file} cannot be read: {error.strerror or error}.") from None
    return FileDigest(path=file.name if folder is None else relative(file, folder), size=size, sha256=digest)


def relative(file: Path, folder: Path) -> str:
    """The way to a file from a folder, with `/` between names."""
    return Path(os.path.relpath(file, folder)).as_posix()


def array_digest(array: Array) -> str:
    """SHA-256 of float32 numbers, little-endian, in C order."""
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<f4").tobytes()).hexdigest()


def layer_outputs(outputs: Outputs) -> tuple[LayerOutput, ...]:
    """Each float64 endpoint in three numbers."""
    return tuple(
        LayerOutput(
            name=name,
            largest=finite(np.abs(values).max()),
            mean=finite(values.mean()),
            norm=finite(np.linalg.norm(values.reshape(-1))),
        )
        for name, values in outputs.float64.items()
    )


def last_output(outputs: Outputs) -> LastOutput:
    """Every float64 number of the last endpoint."""
    name, values = list(outputs.float64.items())[-1]
    rows = values.reshape(len(values), -1)
    return LastOutput(name=name, values=tuple(tuple(finite(value) for value in row) for row in rows.tolist()))


def certified_layers(comparison: Comparison) -> tuple[CertifiedLayer, ...]:
    """The comparison of every endpoint."""
    return tuple(
        CertifiedLayer(
            name=layer.name,
            shape=layer.shape,
            largest=finite(layer.largest),
            float64=_distance(layer.float64),
            float32=_distance(layer.float32),
            own_source=_distance(layer.own_a),
            own_result=_distance(layer.own_b),
            agrees=layer.agrees,
        )
        for layer in comparison.layers
    )


def _distance(found: Distance) -> CertifiedDistance:
    return CertifiedDistance(
        max_abs=finite(found.max_abs), relative=finite(found.relative), relative_l2=finite(found.relative_l2)
    )


def finite(value: Any) -> float | None:
    """The number, None for NaN and infinities, which JSON does not know."""
    number = float(value)
    return number if math.isfinite(number) else None
