"""`effnet diff`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

import effnet
from effnet.cli.fetch import fetch_source
from effnet.cli.output import say, say_json, say_table
from effnet.cli.progress import byte_progress
from effnet.cli.sources import SourcePair, with_source_flags

if TYPE_CHECKING:
    from converters import Difference
    from converters.comparing.difference import FieldDifference, TensorDifference

DIFFERENT = 1
_SHOWN = 20
_IMAGES = "preprocessing."
"""How the fields of a definition begin that say what is done to images before the network."""
_COLUMNS = ("tensor", "shape of A", "shape of B", "differing", "largest |a-b|", "relative L2")


@with_source_flags
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="A checkpoint of any format, or official:NAME.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    *,
    sources: SourcePair,
    every_tensor: Annotated[bool, typer.Option("--all", help="List every tensor that differs, not the first 20.")] = (
        False
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison of every tensor as JSON.")] = False,
) -> None:
    """Compare the weights of two checkpoints, tensor by tensor in canonical names.

    Formats, namings and types of storage may differ: the same numbers are equal. Also says what differs in the
    definitions as they were read, which configurations and names tell: padding, epsilon, strides, activations,
    preprocessing, classes. Options about the checkpoints are for both; those with --a- or --b- are for one of them and
    prevail.

    Exit code 1 when a tensor differs, or the networks compute other logits from the same weights and input. Images that
    are prepared differently are named, and are no difference.

    \b
    Examples:
      effnet diff efficientnet-b0/model.ckpt b0.pth
      effnet diff before.pth after.pth --all
      effnet diff model.ckpt-1234 model.ckpt-1234 --a-ema always --b-ema never --json
    """
    for checkpoint in (a, b):
        fetch_source(checkpoint)
    with byte_progress("comparing", visible=not as_json) as progress:
        found = effnet.diff(a, b, a_options=sources.a.options(), b_options=sources.b.options(), progress=progress)
    if as_json:
        say_json({"equal": found.equal} | vars(found))
    else:
        _show(found, every_tensor=every_tensor)
    if not found.equal:
        raise typer.Exit(DIFFERENT)


def _show(found: "Difference", *, every_tensor: bool) -> None:
    from converters.comparing.difference import Verdict

    for side, notes in (("A", found.notes_a), ("B", found.notes_b)):
        for note in notes:
            say(f"{side}: {note}")
    differing = found.differing()
    if differing:
        shown = differing if every_tensor else differing[:_SHOWN]
        say_table(_COLUMNS, [_row(one) for one in shown])
        if len(shown) < len(differing):
            say(f"... and {len(differing) - len(shown)} more; --all lists them.")
    counts = {verdict: found.count(verdict) for verdict in Verdict}
    say("Tensors: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) + ".")
    for line in _definition(found.definition):
        say(line)
    say(_verdict(found))


def _verdict(found: "Difference") -> str:
    if not found.equal:
        return "Different."
    others = [one.field for one in found.definition if one.field.startswith(_IMAGES)]
    if not others:
        return "Equal."
    return f"Equal, but images are prepared differently ({', '.join(others)}): the same image gives other logits."


def _row(one: "TensorDifference") -> tuple[str, ...]:
    return (
        one.name,
        _shape(one.shape_a),
        _shape(one.shape_b),
        "" if one.elements is None else str(one.elements),
        "" if one.max_abs is None else f"{one.max_abs:.3g}",
        "" if one.relative is None else f"{one.relative:.3g}",
    )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else " x ".join(map(str, shape))


def _definition(differences: "tuple[FieldDifference, ...]") -> list[str]:
    blocks = [one for one in differences if one.field.startswith("blocks.")]
    lines = [
        f"Definition: {one.field} is {_value(one.a)} in A, {_value(one.b)} in B"
        + ("." if one.changes_logits else "; the logits of the same weights and input are not affected.")
        for one in differences
        if one not in blocks
    ]
    if blocks:
        lines.append(f"Definition: {len(blocks)} fields of blocks differ, the first is {blocks[0].field}.")
    return lines


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_value, cast('tuple[object, ...]', value)))})"
    return f"{value:.9g}" if isinstance(value, float) else str(value)
