"""`effnet predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import effnet
from effnet.choices import Backend, Device, Precision
from effnet.cli.fetch import fetch_source
from effnet.cli.output import say, say_json, say_table
from effnet.cli.sources import SourceFlags, with_source_flags

if TYPE_CHECKING:
    from effnet.prediction import Predictions


@with_source_flags
def predict(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint of any format, or official:NAME.")
    ],
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT", help="Images, or one .npy of normalised NHWC input.")
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
        Path | None, typer.Option(metavar="FILE.npy", help="Write the raw logits there instead of printing classes.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Classify images with a checkpoint, in TensorFlow, PyTorch or ONNX Runtime.

    Images are decoded, cropped, resized and normalised exactly as the network's definition says (effnet info shows
    it): as the official code does, or as timm or transformers do where their files say so.

    \b
    Examples:
      effnet predict b0.pth cat.jpg dog.png
      effnet predict efficientnet-b0/model.ckpt cat.jpg --backend torch --recipe advprop
      effnet predict efficientnet-b0.tar.gz cat.jpg --backend onnx
      effnet predict b0.safetensors input.npy --dtype float64 --output logits.npy
    """
    from effnet.prediction import check_logits_output, save_logits

    if output is not None:
        check_logits_output(output, overwrite=force, sources=[checkpoint, *inputs])
    fetch_source(checkpoint)
    found = effnet.predict(
        checkpoint, inputs, options=source.options(), backend=backend, dtype=dtype, device=device, top=top
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
