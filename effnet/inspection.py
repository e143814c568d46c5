"""What is in a checkpoint file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import converters
from converters import Checkpoint, Digest, LeftOut, SourceOptions, left_out, open_checkpoint
from converters.convert import Progress
from converters.formats.base import Array
from effnet.catalogue import NetworkInfo, network_info
from effnet.sources import find_source


@dataclass(frozen=True, kw_only=True)
class TensorReport:
    """One array of the file."""

    name: str
    canonical: str | None
    """Its name in the network, None for what is ignored."""
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    ignored: str | None
    """Why it is no part of the network."""
    nan: int | None
    """How many of its numbers are NaN; None where the data was not read."""
    inf: int | None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The result of `inspect`."""

    path: str
    format: str
    dialect: str
    title: str
    """What the dialect is, for people."""
    network: NetworkInfo
    has_ema: bool
    uses_ema: bool
    tensors: tuple[TensorReport, ...]
    """In the file's order."""
    skipped: Mapping[str, str]
    """Entries that are no arrays, each with the reason."""
    left_out: tuple[LeftOut, ...]
    """Tensors and other entries that are no part of the network, by kind."""
    notes: tuple[str, ...]
    digest: Digest | None = None
    """Of the weights that were taken; None where it was not asked for."""


def inspect(
    path: str | Path,
    *,
    options: SourceOptions | None = None,
    data: bool = True,
    digest: bool = False,
    progress: Progress | None = None,
) -> Inspection:
    """Format, naming, network and every tensor of a checkpoint; `data` reads the numbers to count NaN and Inf.

    `digest` computes the digest of the weights (`effnet.digest`); `progress` is called with the bytes of that which are
    done and the bytes in all. `official:NAME` is fetched first. Raises what `converters.open_checkpoint` raises.
    """
    source = find_source(path, options)
    with open_checkpoint(source.path, source.options) as checkpoint:
        notes = (*source.notes, *checkpoint.notes)
        canonical = {source.name: source.entry.parameter.name for source in checkpoint.sources}
        suffix = checkpoint.dialect.shadow_suffix
        reader = checkpoint.reader
        return Inspection(
            path=str(source.path),
            format=checkpoint.format,
            dialect=checkpoint.dialect.name,
            title=checkpoint.dialect.title,
            network=network_info(checkpoint.spec, notes=notes),
            has_ema=checkpoint.has_averages
            or (suffix is not None and any(name.endswith(suffix) for name in reader.tensors)),
            uses_ema=checkpoint.uses_ema,
            tensors=tuple(
                _tensor(checkpoint, name, canonical.get(name), data=data)
                for name in reader.tensors
                if name not in reader.implied
            ),
            skipped=dict(reader.skipped),
            left_out=left_out(checkpoint.ignored),
            notes=notes,
            digest=converters.digest(checkpoint, progress=progress) if digest else None,
        )


def _tensor(checkpoint: Checkpoint, name: str, canonical: str | None, *, data: bool) -> TensorReport:
    info = checkpoint.reader.tensors[name]
    nan, inf = _not_finite(checkpoint.reader.read(name)) if data else (None, None)
    return TensorReport(
        name=name,
        canonical=canonical,
        shape=info.shape,
        dtype=info.dtype.name,
        nbytes=info.nbytes,
        ignored=None if canonical is not None else checkpoint.ignored.get(name),
        nan=nan,
        inf=inf,
    )


def _not_finite(array: Array) -> tuple[int, int]:
    if array.dtype.kind in "iub":
        return 0, 0
    # bfloat16 of ml_dtypes knows neither isnan nor isinf.
    values = array.astype(np.float32) if array.dtype.kind not in "fc" else array
    return int(np.count_nonzero(np.isnan(values))), int(np.count_nonzero(np.isinf(values)))
