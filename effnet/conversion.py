"""Conversion of a checkpoint file to any other format, Keras archives included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import converters
from converters import Adaptation, ConversionReport, NotFinite, OutputError, SourceOptions, TargetOptions
from converters.changes.adaptation import NOTHING
from converters.convert import convert_checkpoint
from converters.options import accepting
from effnet.formats import KERAS, asks_for_keras
from effnet.sources import Source, find_source, is_official

if TYPE_CHECKING:
    from effnet.backends import Network
    from effnet.certificate.schema import Certificate

_KERAS_DTYPES = ("float32", "float64")
"""The type of a Keras model's variables is the one that it computes in; the smaller ones are for storage."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Conversion(ConversionReport):
    """What was done, and where it was verified, what came out."""

    certificate: Certificate | None = None
    certificate_path: Path | None = None


def convert(
    source: str | Path,
    target: str | Path,
    *,
    options: SourceOptions | None = None,
    adaptation: Adaptation = NOTHING,
    to: str | None = None,
    to_format: str | None = None,
    dtype: str | None = None,
    allow_non_finite: bool = False,
    overwrite: bool = False,
    sync: bool = True,
    accept_different_logits: bool = False,
    progress: Progress | None = None,
    verify: bool = False,
) -> Conversion:
    """Write the checkpoint `source` as `target`; the ending of `target` says the format unless `to_format` does.

    A source `official:b0-noisy-student` is fetched first (`effnet.fetch`).

    `adaptation` changes the network on the way: classes, input channels (`converters.Adaptation`).

    `to` names a dialect, `dtype` the type of the written weights, `sync` waits for the disk, `progress` is called with
    the bytes done and the bytes in all. Writing a Keras archive (`.keras`) needs TensorFlow; everything else loads no
    framework.

    `accept_different_logits` writes into a dialect whose own network has another padding, activation, stride, residual
    or pooling, or an epsilon that the running variances cannot make up for, leaves out layers that were inserted into
    the source's network, and takes one that pads odd sides as even ones: the result gives other logits.

    `verify` then runs source and result on the same random input, compares every intermediate result and puts a
    certificate beside the result (docs/certificates.md), also where they differ: the caller looks at
    `.certificate.agrees`, and the file stays. That needs the frameworks of both.

    Raises what `converters.convert` raises, `MissingFramework`, and `UnverifiedResult` where a file that was written
    cannot be compared with its source.
    """
    wanted = TargetOptions(
        to=to,
        to_format=to_format,
        dtype=dtype,
        allow_non_finite=allow_non_finite,
        overwrite=overwrite,
        sync=sync,
        accept_different_logits=accept_different_logits,
    )
    if is_official(target):
        raise OutputError(
            f"{target} names a published checkpoint, which can only be read; expected a path to write. "
            f"./{target} is a file of that name."
        )
    to_keras = asks_for_keras(target, to_format)
    if to_keras:
        _check_keras_options(wanted)
    found = find_source(source, accepting(options, accept_different_logits=accept_different_logits))
    if verify:
        from effnet.certificate.certify import check_before

        check_before(found, Path(target), wanted)
    report = _written(found, Path(target), wanted, adaptation, to_keras=to_keras, progress=progress)
    if not verify:
        return report
    from effnet.certificate.certify import Work, certify_result

    # A Keras model computes in the type of its variables, which is float32 unless another is asked for.
    dtype = dtype or (_KERAS_DTYPES[0] if to_keras else None)
    notes = (*report.notes, *(f"Left out {kind}" for kind in report.left_out))
    work = Work(source=found, target=Path(target), adaptation=adaptation, dtype=dtype, notes=notes)
    certificate, path = certify_result(work, overwrite=overwrite, sync=sync)
    return replace(report, certificate=certificate, certificate_path=path)


def _written(
    found: Source,
    target: Path,
    wanted: TargetOptions,
    adaptation: Adaptation,
    *,
    to_keras: bool,
    progress: Progress | None,
) -> Conversion:
    if to_keras:
        from effnet.loading import read_source

        return _to_keras(read_source(found, adaptation), found.path, target, wanted, progress)
    with converters.open_checkpoint(found.path, found.options) as checkpoint:
        report = convert_checkpoint(converters.adapt(checkpoint, adaptation), target, wanted, progress=progress)
    values: dict[str, Any] = vars(report) | {"notes": (*found.notes, *report.notes)}
    return Conversion(**values)


def _check_keras_options(wanted: TargetOptions) -> None:
    if wanted.to is not None:
        raise OutputError(
            f"A Keras archive has its own names; expected no dialect, found {wanted.to!r}. Leave out --to."
        )
    if wanted.dtype not in (None, *_KERAS_DTYPES):
        raise OutputError(
            f"A Keras model computes in the type of its variables; expected {' or '.join(_KERAS_DTYPES)}, found "
            f"{wanted.dtype!r}. Write .safetensors to store {wanted.dtype} weights."
        )


def _to_keras(
    network: Network, source: Path, target: Path, wanted: TargetOptions, progress: Progress | None
) -> Conversion:
    if not wanted.allow_non_finite:
        _check_finite(network)
    total = sum(array.nbytes for array in network.state.values())
    if progress is not None:
        progress(0, total)
    from effnet.keras_archive import write_keras_archive

    written = write_keras_archive(network, target, dtype=wanted.dtype, overwrite=wanted.overwrite, sync=wanted.sync)
    if progress is not None:
        progress(total, total)
    return Conversion(
        source=source,
        target=(target,),
        format=KERAS,
        dialect=converters.FORMATS[KERAS].dialect,
        spec=network.spec,
        tensors=len(network.state),
        nbytes=written.nbytes,
        notes=(*network.notes, *written.notes),
        left_out=network.left_out,
    )


def _check_finite(network: Network) -> None:
    for name, array in network.state.items():
        bad = array.size - int(np.count_nonzero(np.isfinite(array.astype(np.float32, copy=False))))
        if bad:
            raise NotFinite(
                f"{network.name}: {name} holds {bad} NaN or infinite numbers of {array.size}. Convert a checkpoint "
                "from before the training diverged, or pass --allow-non-finite (allow_non_finite=True)."
            )
