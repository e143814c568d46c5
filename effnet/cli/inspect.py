"""`effnet inspect`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import effnet
from effnet.cli.fetch import fetch_source
from effnet.cli.output import megabytes, say, say_json, say_table
from effnet.cli.progress import byte_progress
from effnet.cli.sources import SourceFlags, with_source_flags

if TYPE_CHECKING:
    from effnet.inspection import Inspection, TensorReport


@with_source_flags
def inspect(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A file, a prefix, a folder, a .tar.gz or official:NAME.")
    ],
    *,
    source: SourceFlags,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor with its canonical name.")] = False,
    no_data: Annotated[
        bool, typer.Option("--no-data", help="Do not look through the numbers: count no NaN, no Inf.")
    ] = False,
    digest: Annotated[
        bool, typer.Option("--digest", help="Compute the digest of the weights, equal in every format and naming.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what a checkpoint holds: format, naming, network, tensors, NaN and Inf, what is ignored and why.

    \b
    Examples:
      effnet inspect efficientnet-b0/model.ckpt
      effnet inspect b0.pth --tensors --no-data
      effnet inspect b0.safetensors --no-data --digest
      effnet inspect b0.safetensors --json
    """
    fetch_source(checkpoint)
    with byte_progress("digest", visible=digest and not as_json) as progress:
        found = effnet.inspect(checkpoint, options=source.options(), data=not no_data, digest=digest, progress=progress)
    if as_json:
        say_json(_document(found))
        return
    _summary(found)
    if tensors:
        columns = ("tensor", "canonical name", "shape", "type", "bytes", "NaN", "Inf")
        say_table(columns, [_row(tensor) for tensor in found.tensors])


def _document(found: "Inspection") -> dict[str, object]:
    spec = found.network.spec
    return {
        "path": found.path,
        "format": found.format,
        "dialect": found.dialect,
        "network": {
            "name": spec.name,
            "width": spec.width,
            "depth": spec.depth,
            "num_classes": None if spec.classifier is None else spec.classifier.num_classes,
            "in_channels": spec.stem.in_channels,
            "resolution": spec.preprocessing.resolution,
            "recipe": spec.preprocessing.recipe,
            "parameters": found.network.parameters,
        },
        "has_ema": found.has_ema,
        "uses_ema": found.uses_ema,
        "notes": found.notes,
        "skipped": found.skipped,
        "left_out": found.left_out,
        "digest": found.digest,
        "tensors": found.tensors,
    }


def _summary(found: "Inspection") -> None:
    from effnet_core import ending

    spec = found.network.spec
    used = [tensor for tensor in found.tensors if tensor.canonical is not None]
    say(f"file          {found.path}")
    say(f"format        {found.format}")
    say(f"naming        {found.dialect} ({found.title})")
    say(f"network       {spec.name}, width {spec.width:g}, depth {spec.depth:g}, {len(spec.blocks)} blocks")
    say(f"ending        {ending(spec)}")
    say(f"parameters    {found.network.parameters:,}")
    say(f"tensors       {_amount(found.tensors)}, of the network {_amount(used)}")
    say(f"types         {_types(found.tensors)}")
    say(f"averages      {_averages(found)}")
    say(f"NaN or Inf    {_not_finite(found.tensors)}")
    if found.digest is not None:
        say(f"digest        {found.digest.value}")
    for kind in found.left_out:
        say(f"left out      {kind}")
    for note in found.notes:
        say(f"note          {note}")


def _averages(found: "Inspection") -> str:
    if not found.has_ema:
        from converters.formats.training_keys import unread_averages

        return "present, not read" if unread_averages(found.skipped) else "none"
    return "present, taken" if found.uses_ema else "present, not taken"


def _amount(tensors: "tuple[TensorReport, ...] | list[TensorReport]") -> str:
    return f"{len(tensors)} ({megabytes(sum(tensor.nbytes for tensor in tensors))})"


def _types(tensors: "tuple[TensorReport, ...]") -> str:
    counts = Counter(tensor.dtype for tensor in tensors)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _not_finite(tensors: "tuple[TensorReport, ...]") -> str:
    if any(tensor.nan is None for tensor in tensors):
        return "not looked for"
    bad = [tensor for tensor in tensors if tensor.nan or tensor.inf]
    shown = "; ".join(f"{tensor.name}: {tensor.nan} NaN, {tensor.inf} Inf" for tensor in bad[:10])
    more = f"; and {len(bad) - 10} more tensors" if len(bad) > 10 else ""
    return shown + more if bad else "none"


def _row(tensor: "TensorReport") -> tuple[str, ...]:
    return (
        tensor.name,
        tensor.canonical or f"ignored: {tensor.ignored}",
        " x ".join(str(side) for side in tensor.shape) or "scalar",
        tensor.dtype,
        f"{tensor.nbytes:,}",
        "" if not tensor.nan else str(tensor.nan),
        "" if not tensor.inf else str(tensor.inf),
    )
