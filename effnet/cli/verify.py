"""`effnet verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import effnet
from effnet.cli.fetch import fetch_source
from effnet.cli.output import say, say_json, say_table

if TYPE_CHECKING:
    from effnet.certificate.verification import Verification

DIFFERENT = 1


def verify(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="FILE", help="A converted file, prefix or folder, or its .certificate.json.")
    ],
    *,
    source: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Where the source is now, or official:NAME; else it is looked for."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every check as JSON.")] = False,
) -> None:
    """Repeat a certificate that `effnet convert --verify` wrote.

    Takes the digests of the files and their weights again, runs the converted file on the same numbers, and holds what
    it gives against what is recorded. Where the source is still there, it runs too, and every layer is compared again.
    Other versions and another machine are named; they are no difference.

    Exit code 1 when anything differs, or source and result did when the certificate was written.

    \b
    Examples:
      effnet verify b0.keras
      effnet verify b0.keras.certificate.json --source backup/b0.pth --json
    """
    if source is not None:
        fetch_source(source)
    found = effnet.verify(checkpoint, source=source)
    if as_json:
        say_json({"agrees": found.agrees, "certificate": found.path, "checks": found.checks})
    else:
        _show(found)
    if not found.agrees:
        raise typer.Exit(DIFFERENT)


def _show(found: "Verification") -> None:
    from effnet.certificate.agreement import Outcome

    say_table(("what", "how", ""), [(check.subject, check.outcome, check.detail) for check in found.checks])
    different = [check.subject for check in found.checks if check.outcome is Outcome.DIFFERENT]
    if different:
        say(f"Different: {', '.join(different)}. {found.path} does not hold.")
        return
    left = [check.subject for check in found.checks if check.outcome is Outcome.NOT_CHECKED]
    without = f", without {', '.join(left)}" if left else ""
    say(f"The same: {found.path} holds{without}.")
