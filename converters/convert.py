"""Carrying a checkpoint from one format and dialect to another, tensor by tensor.

Every tensor is read once, written once and read back once. The result is opened with its own reader and compared with
what was meant before it takes its final name.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from converters.carrying.carrier import Carrier, NotFinite
from converters.carrying.epsilon import SHIFTED_KEY
from converters.carrying.plan import Plan, Step, plan_conversion
from converters.changes.adaptation import NOTHING, Adaptation, adapt
from converters.checkpoint import Checkpoint
from converters.dialects.dialect import Dialect
from converters.errors import OutputError
from converters.formats import find_format, output_format, writer_class
from converters.formats.base import Location, Reader, TensorInfo, Writer
from converters.formats.dtypes import Dtypes
from converters.left_out import LeftOut, left_out
from converters.metadata_keys import DIALECT_KEY, SPEC_KEY
from converters.names.dialect_choice import find_dialect
from converters.opening import open_checkpoint
from converters.options import SourceOptions, accepting
from effnet_core import NetworkSpec, to_json

DTYPES = Dtypes({name: name for name in ("float32", "float16", "bfloat16", "float64")})
"""Types in which weights can be written."""

SOURCE_KEY = "effnet.source"
"""The metadata entry that describes the file from which the tensors were converted."""
ORIGIN_KEY = "effnet.origin"
"""The same of the first file, where they went through several."""

Progress = Callable[[int, int], None]


class TargetOptions(NamedTuple):
    """How a checkpoint is to be written; the fields are explained in `convert`."""

    to: str | None = None
    to_format: str | None = None
    dtype: str | None = None
    allow_non_finite: bool = False
    overwrite: bool = False
    sync: bool = True
    accept_different_logits: bool = False


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """What was done."""

    source: Path
    target: tuple[Path, ...]
    """Every file that was written."""
    format: str
    dialect: str
    spec: NetworkSpec
    tensors: int
    nbytes: int
    """Bytes of tensor data written."""
    notes: tuple[str, ...]
    """What was found or decided, a sentence each."""
    left_out: tuple[LeftOut, ...]
    """What else the source holds, by kind."""


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
) -> ConversionReport:
    """Write the checkpoint `source` to `target` in the dialect `to` (by default the usual one of the format).

    `adaptation` changes the network on the way: classes, input channels (`converters.Adaptation`).

    The format follows from the target's name unless `to_format` says it; `dtype` is a key of `DTYPES`, None keeps the
    source's; `progress` is called with the bytes done and the bytes in all; `sync` waits for the disk.

    `accept_different_logits` writes into a dialect whose own network has another padding, activation, stride, residual
    or pooling, or an epsilon that the running variances cannot make up for, leaves out layers that were inserted into
    the source's network, and takes one that pads odd sides as even ones: the result gives other logits.

    Raises what `open_checkpoint` raises, `NotFinite` for weights that are NaN or infinite, `DifferentSemantics` and
    `EpsilonCannotBeMadeUpFor` where the target's own network would give other logits, `Unnamed` and `NoConfig` where it
    has no name or no configuration for a part of this one, and `OutputError` when the target cannot be written.
    """
    target_options = TargetOptions(
        to=to,
        to_format=to_format,
        dtype=dtype,
        allow_non_finite=allow_non_finite,
        overwrite=overwrite,
        sync=sync,
        accept_different_logits=accept_different_logits,
    )
    options = accepting(options, accept_different_logits=accept_different_logits)
    with open_checkpoint(source, options) as checkpoint:
        return convert_checkpoint(adapt(checkpoint, adaptation), target, target_options, progress=progress)


def convert_checkpoint(
    checkpoint: Checkpoint, target: str | Path, options: TargetOptions, *, progress: Progress | None = None
) -> ConversionReport:
    """The same as `convert` for a checkpoint that is open already."""
    path = Path(target)
    name = output_format(path) if options.to_format is None else options.to_format
    layout = find_format(name)
    dialect = _written_dialect(layout.dialect if options.to is None else options.to)
    dtype = None if options.dtype is None else find_dtype(options.dtype)
    plan = plan_conversion(
        checkpoint, dialect, layout, dtype=dtype, accept_different_logits=options.accept_different_logits
    )
    tensors = [step.target for step in plan.steps]
    _check_not_source(checkpoint, path)
    metadata, notes = _metadata(checkpoint, dialect, plan), (*checkpoint.notes, *plan.notes)
    if layout.holds_companions and dialect.companions is not None:
        companions = dialect.companions(plan.spec)
        metadata |= companions
        if not companions:
            notes += (f"No config.json was written: {dialect.title} has no name for this network.",)
    with writer_class(name)(path, tensors, metadata, overwrite=options.overwrite, sync=options.sync) as writer:
        places = _carry_all(checkpoint.reader, writer, plan.steps, options, progress)
        with writer.finish() as result:
            _check_result(path, result, tensors, places)
        files = writer.commit()
    return ConversionReport(
        source=checkpoint.path,
        target=files,
        format=name,
        dialect=dialect.name,
        spec=checkpoint.spec,
        tensors=len(tensors),
        nbytes=sum(info.nbytes for info in tensors),
        notes=notes,
        left_out=left_out(checkpoint.ignored),
    )


def _written_dialect(name: str) -> Dialect:
    """The dialect of that name. Raises `UnknownDialect` when there is none, `OutputError` when it is only read."""
    dialect = find_dialect(name)
    if not dialect.is_written:
        raise OutputError(
            f"Names of {name} are read, but not written: they number layers in files that do not name them, and the "
            "same layers have names with --to keras-applications (EfficientNetV2: --to keras-applications-v2)."
        )
    return dialect


def _check_not_source(checkpoint: Checkpoint, target: Path) -> None:
    """Raise `OutputError` when the target would replace the source, of which it holds only a part."""
    places = (checkpoint.reader.location(source.name) for source in checkpoint.sources)
    sources = {checkpoint.path, *(place.path for place in places if place is not None)}
    # A folder as an output would replace what is in it.
    if any(_stem(target) in (place, *map(str, Path(place).parents)) for place in map(_stem, sources)):
        raise OutputError(
            f"{target} is the checkpoint that is read. Writing over it would lose what is not converted, such as "
            "variables beside their moving averages and the slots of an optimiser. Name another output."
        )


def _stem(path: Path) -> str:
    """Where a path leads, without what tells the files of a bundle apart."""
    return re.sub(r"\.(index|data-[0-9]+-of-[0-9]+)$", "", os.path.realpath(path))


def _carry_all(
    reader: Reader, writer: Writer, steps: Sequence[Step], options: TargetOptions, progress: Progress | None
) -> list[Location]:
    total = sum(step.target.nbytes for step in steps)

    def report(done: int) -> None:
        if progress is not None:
            progress(done, total)

    sources = (reader.tensors[step.source].nbytes for step in steps if step.source is not None)
    try:
        with Carrier(
            reader,
            writer,
            largest=max(sources, default=0),
            allow_non_finite=options.allow_non_finite,
            progress=report,
        ) as carrier:
            places = [carrier.carry(step) for step in steps]
            carrier.settle()
    except NotFinite:
        reader.check_plain()  # what is damaged may look like anything
        raise
    reader.check_plain()
    return places


def find_dtype(name: str) -> np.dtype[Any]:
    """The type of that name. Raises `OutputError` when weights cannot be written in it."""
    if name not in DTYPES:
        raise OutputError(f"Weights cannot be written as {name!r}. Types: {', '.join(DTYPES)}.")
    return DTYPES[name]


def _metadata(checkpoint: Checkpoint, dialect: Dialect, plan: Plan) -> dict[str, str]:
    source: dict[str, object] = {
        "file": checkpoint.path.name,
        "format": checkpoint.format,
        "dialect": checkpoint.dialect.name,
        "moving_averages": checkpoint.uses_ema,
    }
    # Through how many files it may have gone: the first of them says what the weights are.
    first = checkpoint.reader.metadata.get(ORIGIN_KEY) or checkpoint.reader.metadata.get(SOURCE_KEY)
    origin = {} if first is None else {ORIGIN_KEY: first}
    return {
        SPEC_KEY: to_json(plan.spec),
        DIALECT_KEY: dialect.name,
        SOURCE_KEY: json.dumps(source, separators=(",", ":")),
        **origin,
        **({} if plan.originals is None else {SHIFTED_KEY: plan.originals}),
    }


def _check_result(path: Path, result: Reader, tensors: Sequence[TensorInfo], places: Sequence[Location]) -> None:
    """Raise unless the file's own reader finds every tensor where its bytes were written and read back."""
    meant = {info.name: info for info in tensors}
    found = dict(result.tensors)
    wrong = [name for name, info in meant.items() if found.get(name) != info]
    wrong += [name for name in found if name not in meant]
    wrong += [
        info.name for info, place in zip(tensors, places, strict=True) if _offset(result, info.name) != place.offset
    ]
    if wrong:
        raise OutputError(
            f"{path}: the written file does not read back as it was meant, first at {wrong[0]}. Nothing was kept; "
            "check the disk, and report this if it happens again."
        )


def _offset(result: Reader, name: str) -> int | None:
    place = result.location(name)
    return None if place is None else place.offset
