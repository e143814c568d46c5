"""`effnet export`."""

from pathlib import Path
from typing import Annotated

import typer

from effnet.cli.fetch import fetch_source
from effnet.cli.output import megabytes, say, say_json, say_table
from effnet.cli.progress import spinner
from effnet.cli.sources import SourceFlags, with_source_flags


@with_source_flags
def export(
    source_path: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A file, a prefix, a folder, a .tar.gz or official:NAME.")
    ],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="A file, or the folder of a model, in which versions are numbered.")
    ],
    *,
    kind: Annotated[str, typer.Option("--as", metavar="KIND", help="savedmodel, onnx, tflite, torch-export or keras.")],
    fold: Annotated[
        bool, typer.Option("--fold", help="Put the normalisations into the convolutions: fewer layers, same function.")
    ] = False,
    top: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Classes that classify_bytes names; 5 unless given.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE.txt", help="Names of the classes, one a line, in place of ImageNet's.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(metavar="N", help="Number of the version's folder; the next free one unless given.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Fixed height and width in pixels (onnx, tflite).")
    ] = None,
    quantize: Annotated[str, typer.Option(metavar="KIND", help="Of tflite: none, float16 or int8.")] = "none",
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Images, a hundred or so, also in folders inside it, by which int8 activations are scaled.",
        ),
    ] = None,
    source: SourceFlags,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Write a network for other programs: TensorFlow Serving, ONNX Runtime, LiteRT, torch.export, Keras.

    What is written is checked before it gets its place, by every installed program that reads such files, on random
    input and on a JPEG; the table shows how far each is from the network in float64, computed by the other framework
    where it is installed, and how far rounding takes the network itself. SavedModels and ONNX models go into numbered
    folders (TARGET/1), as model servers expect them; a TARGET that ends in .onnx is a single file.

    \b
    Examples:
      effnet export efficientnet-b0.tar.gz models/b0 --as savedmodel --fold
      effnet export b0.pth b0.onnx --as onnx
      effnet export b0.pth b0.tflite --as tflite --quantize int8 --calibration photographs
    """
    from effnet.exports.options import ExportOptions, Kind, Quantize
    from effnet.exports.run import export as run_export
    from effnet.frameworks import TITLES

    options = ExportOptions(
        kind=Kind(kind),
        fold=fold,
        version=version,
        top=top,
        labels=labels,
        size=_size(size),
        quantize=Quantize(quantize),
        calibration=_images(calibration),
        overwrite=force,
    )
    fetch_source(source_path)
    with spinner("exporting and checking", visible=not as_json):
        report = run_export(source_path, target, options=options, source=source.options())
    if as_json:
        say_json(report)
        return
    name = f"{report.network}, folded," if report.folded else report.network
    say(f"{name} -> {report.path}, {report.kind}, {megabytes(report.nbytes)}")
    for note in report.notes:
        say(f"  {note}")
    say(f"  Float64 and rounding are those of {TITLES[report.verification.judge]}.")
    say_table(
        ("checked by", "asked", "|a - b| / largest", "rounding alone", "same first class", ""),
        [
            (
                check.reader,
                check.question,
                f"{check.difference:.1e}",
                f"{check.rounding:.1e}",
                f"{check.same_top} of {check.images}",
                "measured" if check.agrees is None else "agrees",
            )
            for check in report.verification.checks
        ],
    )


def _size(text: str | None) -> tuple[int, int] | None:
    from effnet.errors import InputError

    if text is None:
        return None
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise InputError(f"--size is {text!r}; expected height and width in pixels, such as 224x320.")
    return int(height), int(width)


def _images(folder: Path | None) -> tuple[Path, ...]:
    from effnet.batch.listing import SUFFIXES, image_files
    from effnet.errors import InputError

    if folder is None:
        return ()
    if not folder.is_dir():
        raise InputError(f"--calibration {folder} is no folder; expected one with images.")
    found = tuple(Path(path) for path in image_files(folder))
    if not found:
        raise InputError(
            f"--calibration {folder} holds no images; expected files that end with {', '.join(sorted(SUFFIXES))}, in "
            "it or in folders inside it."
        )
    return found
