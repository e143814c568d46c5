"""`effnet info`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

import effnet
from effnet.cli.fetch import fetch_source
from effnet.cli.output import say, say_table
from effnet.cli.sources import SourceFlags, with_source_flags

if TYPE_CHECKING:
    from effnet_core import Block, Classifier, HiddenLayer, NetworkSpec, Preprocessing


@with_source_flags
def info(
    network: Annotated[
        str, typer.Argument(metavar="NETWORK", help="A variant such as b0, a checkpoint, or official:NAME.")
    ],
    *,
    source: SourceFlags,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole definition as JSON, as it travels in files.")
    ] = False,
) -> None:
    """Show what a network is: its blocks, parameters, costs and preprocessing.

    \b
    Examples:
      effnet info b3
      effnet info b0 --width 0.5 --num-classes 10
      effnet info checkpoints/model.ckpt-1234 --json
    """
    from effnet_core import ending, to_json

    fetch_source(network)
    found = effnet.info(network, options=source.options())
    spec = found.spec
    if as_json:
        say(to_json(spec))
        return
    for note in found.notes:
        say(note)
    resolution = spec.preprocessing.resolution
    first = ", the first is the background" if spec.classifier is not None and spec.classifier.label_offset else ""
    say(f"{spec.name}: width {spec.width:g}, depth {spec.depth:g}, {ending(spec)}{first}")
    say(f"{found.parameters:,} parameters, {found.total:,} numbers with the moving statistics")
    say(f"{found.multiply_adds / 1e9:.3f} G multiply-adds for one image of {resolution} x {resolution} pixels")
    norm = "no norms: they are folded into the convolutions"
    if spec.norm is not None:
        norm = f"norm epsilon {spec.norm.epsilon:g} and decay {spec.norm.decay:g}"
    say(f"padding {spec.padding}, {norm}")
    if spec.classifier is not None:
        say(f"dropout {spec.classifier.dropout_rate:g}, pooling {spec.classifier.pooling}")
    say(_preprocessing(spec))
    columns = (
        "layer",
        "kind",
        "kernel",
        "stride",
        "in",
        "expanded",
        "squeezed",
        "out",
        "output",
        "residual",
        "drop-connect",
    )
    say_table(columns, list(_rows(spec)))


def _preprocessing(spec: "NetworkSpec") -> str:
    rule = spec.preprocessing
    mean, scale = (", ".join(f"{value:g}" for value in values) for values in (rule.mean, rule.scale))
    clipped = ", clipped to 0..255" if rule.clips else ""
    return (
        f"recipe {rule.recipe}: JPEG decoded {_JPEG[rule.jpeg]}, {_crop(rule)}, {rule.resampling} to "
        f"{rule.resolution} x {rule.resolution}{clipped}, (pixel - ({mean})) / ({scale})"
    )


_JPEG = {"fast": "by the fast transform, as TensorFlow does", "accurate": "by the accurate transform, as Pillow does"}


def _crop(rule: "Preprocessing") -> str:
    from effnet_core import CentreCrop, Offset, ShorterSide

    match rule.crop:
        case CentreCrop(padding=padding, offset=offset):
            rounded = "up" if offset is Offset.CEILING else "down"
            whole = rule.resolution + padding
            return f"centre crop {rule.resolution}/{whole} of the shorter side, offset rounded {rounded}"
        case ShorterSide(side=side):
            return f"resized to a shorter side of {side} pixels and the centre cut out"
        case _:
            return "no crop, the whole image is squeezed into the square"


def _rows(spec: "NetworkSpec") -> Iterator[tuple[str, ...]]:
    stem = spec.stem
    side = _after(spec, spec.preprocessing.resolution, stem.kernel_size, stem.stride)
    yield _row("stem", stem.kernel_size, stem.stride, stem.in_channels, stem.out_channels, side)
    for index, block in enumerate(spec.blocks):
        side = _after(spec, side, block.kernel_size, block.stride)
        yield _block_row(f"blocks.{index}", block, side)
    if spec.head is not None:
        yield _row("head", 1, 1, spec.head.in_channels, spec.head.out_channels, side)
    if spec.classifier is not None:
        yield from _classifier_rows(spec.classifier)


def _classifier_rows(classifier: "Classifier") -> Iterator[tuple[str, ...]]:
    for index, layer in enumerate(classifier.hidden):
        widths = vars(layer)
        inputs, outputs = (str(widths.get(name, "")) for name in ("in_channels", "out_channels"))
        yield (f"hidden.{index}", _hidden_kind(layer), "", "", inputs, "", "", outputs, "", "", "")
    yield ("classifier", "", "", "", str(classifier.in_channels), "", "", str(classifier.num_classes), "", "", "")


def _hidden_kind(layer: "HiddenLayer") -> str:
    from effnet_core import HiddenActivation, HiddenDense, HiddenDropout, HiddenNorm

    match layer:
        case HiddenDense():
            return "dense" if layer.activation is None else f"dense, {layer.activation}"
        case HiddenNorm():
            return f"norm, epsilon {layer.epsilon:g}"
        case HiddenActivation():
            return layer.activation.value
        case HiddenDropout():
            return f"dropout {layer.dropout_rate:g}"


def _row(name: str, kernel: int, stride: int, inputs: int, outputs: int, side: int) -> tuple[str, ...]:
    return (name, "", str(kernel), str(stride), str(inputs), "", "", str(outputs), f"{side} x {side}", "", "")


def _block_row(name: str, block: "Block", side: int) -> tuple[str, ...]:
    from effnet_core import CondMBConv, FusedMBConv

    squeezed = None if isinstance(block, FusedMBConv) else block.squeeze_channels
    kind = type(block).__name__ + (f" x{block.num_experts}" if isinstance(block, CondMBConv) else "")
    return (
        name,
        kind,
        str(block.kernel_size),
        str(block.stride),
        str(block.in_channels),
        str(block.expanded_channels),
        "" if squeezed is None else str(squeezed),
        str(block.out_channels),
        f"{side} x {side}",
        "yes" if block.has_residual else "",
        f"{block.drop_connect_rate:.4f}",
    )


def _after(spec: "NetworkSpec", side: int, kernel_size: int, stride: int) -> int:
    from effnet_core import output_size

    return output_size(side, kernel_size=kernel_size, stride=stride, padding=spec.padding)
