"""`effnet convert`."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import effnet
from effnet.cli.fetch import fetch_source
from effnet.cli.output import megabytes, say, say_json
from effnet.cli.progress import byte_progress
from effnet.cli.sources import SourceFlags, with_source_flags
from effnet.cli.start import import_numpy_without_threads

if TYPE_CHECKING:
    from effnet.conversion import Conversion

DIFFERENT = 1
_TARGET = "What to write"
_NETWORK = "Changes to the network"


@with_source_flags
def convert(
    source_path: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A file, a prefix, a folder, a .tar.gz or official:NAME.")
    ],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="What to write; its ending says the format.")],
    *,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="DIALECT",
            help="Names to write: one of those for --from but keras-order, which is only read.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    to_format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Format to write: tensor-bundle, safetensors, hf-folder, npz, pth, keras-weights, keras-h5, keras.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE", help="Type to write: float32, float16, bfloat16, float64.", rich_help_panel=_TARGET
        ),
    ] = None,
    source: SourceFlags,
    in_channels: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Adapt the stem to N channels: 1 takes the sum of RGB, others repeat.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    drop_background: Annotated[
        bool,
        typer.Option(
            "--drop-background", help="Cut class 0, the background, of 1001 classes.", rich_help_panel=_NETWORK
        ),
    ] = False,
    drop_head: Annotated[
        bool,
        typer.Option(
            "--drop-head",
            help="Leave the classifier and its hidden layers out; with --num-classes a fresh one takes their place.",
            rich_help_panel=_NETWORK,
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, metavar="S", help="Seed of a fresh classifier.", rich_help_panel=_NETWORK)
    ] = 0,
    fold: Annotated[
        bool,
        typer.Option(
            "--fold",
            help="Fold batch normalisation into the convolutions: for inference.",
            rich_help_panel=_NETWORK,
        ),
    ] = False,
    allow_non_finite: Annotated[
        bool, typer.Option("--allow-non-finite", help="Convert weights that are NaN or infinite too.")
    ] = False,
    accept_different_logits: Annotated[
        bool,
        typer.Option(
            "--accept-different-logits",
            help="Write into a dialect whose own network has another padding, activation, stride, residual or pooling, "
            "or an epsilon that the running variances cannot make up for, leave out layers that were inserted into the "
            "source's network, and take one that pads odd sides as even ones: the result gives other logits.",
        ),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Run source and result, compare every layer, write TARGET.certificate.json."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
    no_fsync: Annotated[
        bool, typer.Option("--no-fsync", help="Do not wait for the disk; a power failure may lose the file.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Convert a checkpoint to another format and naming.

    The file is read back and compared before it takes its name. No framework is loaded; only writing .keras and
    --verify need them.

    With --num-classes N a fresh classifier is drawn where the file's has not N classes, or --drop-head leaves it out;
    with --drop-head alone the network gives features.

    With --fold the result has no batch normalisation and gives the same in evaluation; only this project's own naming
    (native, effnet-torch, effnet-keras, .keras) has such networks.

    With --verify source and result then run on the same random numbers, each in the framework that it belongs to, and
    a certificate beside TARGET says how every layer came out; `effnet verify TARGET` repeats it. Exit code 1 when they
    differ: the file stays, and the certificate says so.

    \b
    Examples:
      effnet convert efficientnet-b0/model.ckpt b0.pth
      effnet convert b0.pth b0.safetensors --dtype bfloat16
      effnet convert b0.pth b0.keras --verify
      effnet convert b0.pth model.ckpt --to official
      effnet convert official.tar.gz luke.pth --to efficientnet-pytorch --ema never
      effnet convert b0.pth b0-folded.safetensors --fold
      effnet convert official:b0-noisy-student flowers.pth --num-classes 5 --seed 1
    """
    # Thousands of small objects live until the end: looking for garbage among them takes a twentieth of the time.
    if not verify:
        gc.disable()
    try:
        if not verify:
            import_numpy_without_threads()
        from converters import Adaptation

        fetch_source(source_path)
        with byte_progress("converting", visible=not as_json) as progress:
            report = effnet.convert(
                source_path,
                target,
                options=source._replace(num_classes=None).options(),
                adaptation=Adaptation(
                    in_channels=in_channels,
                    drop_background=drop_background,
                    drop_head=drop_head,
                    num_classes=source.num_classes,
                    seed=seed,
                    fold=fold,
                ),
                to=to,
                to_format=to_format,
                dtype=dtype,
                allow_non_finite=allow_non_finite,
                accept_different_logits=accept_different_logits,
                overwrite=force,
                sync=not no_fsync,
                progress=progress,
                verify=verify,
            )
    finally:
        gc.enable()
    if as_json:
        say_json(_document(report))
    else:
        _show(report)
    if report.certificate is not None and not report.certificate.agrees:
        raise typer.Exit(DIFFERENT)


def _show(report: "Conversion") -> None:
    for note in report.notes:
        say(note)
    for kind in report.left_out:
        say(f"Left out {kind}")
    files = ", ".join(str(path) for path in report.target)
    say(
        f"Wrote {report.tensors} tensors ({megabytes(report.nbytes)}) as {report.format}, names of {report.dialect}: "
        f"{files}"
    )
    if report.certificate is not None:
        for line in report.certificate.verdict:
            say(line)
        stays = "" if report.certificate.agrees else " The converted file stays, and is not verified."
        say(f"Certificate: {report.certificate_path}.{stays}")


def _document(report: "Conversion") -> dict[str, object]:
    spec = report.spec
    return {
        "source": report.source,
        "files": report.target,
        "format": report.format,
        "dialect": report.dialect,
        "network": {
            "name": spec.name,
            "width": spec.width,
            "depth": spec.depth,
            "num_classes": None if spec.classifier is None else spec.classifier.num_classes,
            "recipe": spec.preprocessing.recipe,
        },
        "tensors": report.tensors,
        "nbytes": report.nbytes,
        "notes": report.notes,
        "left_out": report.left_out,
        "verified": None if report.certificate is None else report.certificate.agrees,
        "certificate": report.certificate_path,
    }
