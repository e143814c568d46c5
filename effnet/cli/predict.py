"""`effnet predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import effnet
from effnet.choices import Backend, Device, Engine, Precision
from effnet.cli.fetch import fetch_source
from effnet.cli.many import (
    Batch,
    EngineOption,
    Limit,
    Parity,
    RayAddress,
    Resume,
    Strict,
    Threads,
    Workers,
    row_printer,
    run_many,
    show,
)
from effnet.cli.output import say, say_json, say_table
from effnet.cli.sources import SourceFlags, with_source_flags

if TYPE_CHECKING:
    from effnet.prediction import Predictions


_TABLES = (".csv", ".parquet")
"""As in `effnet.batch.tables`, which is not loaded for a few images."""


@with_source_flags
def predict(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint of any format, or official:NAME.")
    ],
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT", help="Images, folders of them, or one .npy of normalised NHWC input."),
    ],
    *,
    source: SourceFlags,
    backend: Annotated[
        Backend | None,
        typer.Option(help="What runs it; by default the framework that the file belongs to, else the one installed."),
    ] = None,
    dtype: Annotated[Precision, typer.Option(help="Type to compute in.")] = Precision.FLOAT32,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.CPU,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Classes to show for each image.")] = 5,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "--out",
            metavar="FILE",
            help="Write a table there, a row for each image (.csv, .parquet), or the raw logits (.npy).",
        ),
    ] = None,
    resume: Resume = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
    parity: Parity = None,
    batch: Batch = 32,
    threads: Threads = None,
    limit: Limit = None,
    strict: Strict = False,
    engine: EngineOption = Engine.LOCAL,
    workers: Workers = None,
    ray_address: RayAddress = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Classify images with a checkpoint, in TensorFlow, PyTorch or ONNX Runtime.

    Images are decoded, cropped, resized and normalised exactly as the network's definition says (effnet info shows
    it): as the official code does, or as timm or transformers do where their files say so.

    A few images are shown as tables. A folder, or a table as output, is for any number of them; without an output its
    rows go to standard output. Exit code 1 when --parity finds a difference that rounding does not explain, 3 when
    some of many images have no answer, for the reason in their rows.

    \b
    Examples:
      effnet predict b0.pth cat.jpg dog.png
      effnet predict efficientnet-b0/model.ckpt cat.jpg --backend torch --recipe advprop
      effnet predict efficientnet-b0.tar.gz cat.jpg --backend onnx
      effnet predict b0.safetensors input.npy --dtype float64 --output logits.npy
      effnet predict b0.pth photographs --out photographs.parquet --resume
    """
    how = effnet.BatchOptions(
        backend=backend,
        parity=parity,
        dtype=dtype,
        device=device,
        top=top,
        batch=batch,
        threads=threads,
        limit=limit,
        strict=strict,
        engine=engine,
        workers=workers,
        ray_address=ray_address,
    )
    if _is_for_many(inputs, output, how, resume=resume):
        _many(checkpoint, inputs, source, how, output, resume=resume, force=force, as_json=as_json)
    else:
        _few(checkpoint, inputs, source, how, output, force=force, as_json=as_json)


def _is_for_many(inputs: list[Path], output: Path | None, how: "effnet.BatchOptions", *, resume: bool) -> bool:
    """Whether anything is asked for that only the way of many images has."""
    from dataclasses import replace

    usual = effnet.BatchOptions()
    same = replace(how, backend=usual.backend, dtype=usual.dtype, device=usual.device, top=usual.top)
    is_table = output is not None and output.suffix.lower() in _TABLES
    return is_table or resume or same != usual or any(path.is_dir() for path in inputs)


def _many(
    checkpoint: Path,
    inputs: list[Path],
    source: SourceFlags,
    how: "effnet.BatchOptions",
    output: Path | None,
    *,
    resume: bool,
    force: bool,
    as_json: bool,
) -> None:
    fetch_source(checkpoint)
    found = run_many(
        lambda progress: effnet.predict_many(
            checkpoint,
            inputs,
            options=source.options(),
            how=how,
            output=output,
            resume=resume,
            overwrite=force,
            each=row_printer(as_json=as_json) if output is None else None,
            progress=progress,
        ),
        title="classifying",
        visible=output is not None and not as_json,
    )
    show(found, as_json=as_json and output is not None, to_stderr=output is None)


def _few(
    checkpoint: Path,
    inputs: list[Path],
    source: SourceFlags,
    how: "effnet.BatchOptions",
    output: Path | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    from effnet.inputs import check_there, classify
    from effnet.prediction import check_logits_output, save_logits

    check_there(classify(inputs))
    if output is not None:
        check_logits_output(output, overwrite=force, sources=[checkpoint, *inputs])
    fetch_source(checkpoint)
    found = effnet.predict(
        checkpoint,
        inputs,
        options=source.options(),
        backend=how.backend,
        dtype=how.dtype,
        device=how.device,
        top=how.top,
    )
    if output is not None:
        save_logits(found.logits, output, overwrite=force)
    if as_json:
        say_json(_document(found, output))
    elif output is not None:
        say(f"Wrote logits of shape {found.logits.shape} and type {found.logits.dtype}: {output}")
    else:
        _tables(found)


def _document(found: "Predictions", output: Path | None) -> dict[str, object]:
    return {
        "checkpoint": found.network.name,
        "network": found.network.spec.name,
        "backend": found.backend,
        "output": output,
        "notes": found.network.notes,
        "images": found.items,
    }


def _tables(found: "Predictions") -> None:
    for note in found.network.notes:
        say(note)
    for item in found.items:
        rows = [(str(guess.index), f"{guess.probability:.4f}", guess.label or "") for guess in item.top]
        columns = ("class", "probability", "label")
        if all(guess.label is None for guess in item.top):
            columns, rows = columns[:2], [row[:2] for row in rows]
        say(f"\n{item.name}")
        say_table(columns, rows)
