"""`effnet fetch`, and fetching for the commands that are given `official:NAME`."""

from pathlib import Path
from typing import Annotated

import typer

import effnet
from effnet.cli.output import megabytes, say, say_json
from effnet.cli.progress import byte_progress
from effnet.official_prefix import OFFICIAL


def fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="An official checkpoint; `effnet list --checkpoints` shows them.")
    ],
    *,
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder for the archive, by default the cache.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Download it again.")] = False,
    mirror: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Download from there instead of Google's storage. Also: $EFFNET_MIRROR."),
    ] = None,
    retries: Annotated[int, typer.Option(min=0, metavar="N", help="How often a broken download is repeated.")] = 2,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long the server may be silent.")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Download an official checkpoint, unless it is there already.

    The cache is ~/.cache/effnet (or $EFFNET_CACHE). The SHA-256 of the first download is kept there; a file that
    differs from it later is an error. Proxies are those of the environment (HTTPS_PROXY). The commands that take a
    checkpoint take official:NAME too.

    \b
    Examples:
      effnet fetch b0-noisy-student
      effnet fetch v2-s-21k-ft1k --to checkpoints
      effnet convert official:b0-noisy-student b0.safetensors
    """
    with byte_progress(f"fetching {name}", visible=not as_json) as progress:
        found = effnet.fetch(
            name, to=to, force=force, mirror=mirror, retries=retries, timeout=timeout, progress=progress
        )
    if as_json:
        say_json(found)
        return
    how = "was there already" if found.was_there else f"came from {found.address}"
    say(f"{found.name} {how}: {found.path} ({megabytes(found.size)})")
    say(f"sha256 {found.sha256}, the one on record")


def fetch_source(source: str | Path) -> None:
    """Fetch `official:NAME` with a progress bar, so that the function behind the command finds it."""
    name = str(source)
    if name.startswith(OFFICIAL):
        with byte_progress(f"fetching {name}") as progress:
            effnet.fetch(name, progress=progress)
