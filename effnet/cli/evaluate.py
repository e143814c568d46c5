"""`effnet evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

import effnet
from effnet.choices import Backend, Device, Engine, Precision
from effnet.cli.fetch import fetch_source
from effnet.cli.many import (
    Batch,
    EngineOption,
    Limit,
    Output,
    Parity,
    RayAddress,
    Resume,
    Strict,
    Threads,
    Workers,
    run_many,
    show,
)
from effnet.cli.sources import SourceFlags, with_source_flags


@with_source_flags
def evaluate(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint of any format, or official:NAME.")
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder for each class, or the images that --labels names.")
    ],
    *,
    source: SourceFlags,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="The images and their classes: columns path and class.")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="One folder's name a line, in the order of the classes.")
    ] = None,
    backend: Annotated[
        Backend | None,
        typer.Option(help="Framework; by default the one that the file belongs to, else the one installed."),
    ] = None,
    parity: Parity = None,
    dtype: Annotated[Precision, typer.Option(help="Type to compute in.")] = Precision.FLOAT32,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.CPU,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Classes in a row of the table.")] = 5,
    output: Output = None,
    resume: Resume = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
    batch: Batch = 32,
    threads: Threads = None,
    limit: Limit = None,
    strict: Strict = False,
    engine: EngineOption = Engine.LOCAL,
    workers: Workers = None,
    ray_address: RayAddress = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Top-1 and top-5 of a checkpoint over images whose classes are known.

    A folder's name is a WordNet id, the number of a class from 0, or a name of it; which one is which is never
    guessed (--classes says it). Wilson's 95 % interval stands beside each share.

    Exit code 1 when --parity finds a difference that rounding does not explain, 3 when some images have no answer.

    \b
    Examples:
      effnet evaluate official:b0-baseline imagenet/val --classes synsets.txt --out b0.parquet
      effnet evaluate b0.pth photographs --labels labels.csv --json
      effnet evaluate b0.pth imagenet/val --classes synsets.txt --limit 1000 --parity tf
    """
    fetch_source(checkpoint)
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
    found = run_many(
        lambda progress: effnet.evaluate(
            checkpoint,
            folder,
            labels=labels,
            classes=classes,
            options=source.options(),
            how=how,
            output=output,
            resume=resume,
            overwrite=force,
            progress=progress,
        ),
        title="evaluating",
        visible=not as_json,
    )
    show(found, as_json=as_json)
