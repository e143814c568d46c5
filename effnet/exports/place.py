"""Where an export goes: it is made in a hidden folder beside its place and moved there when it has been checked."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from converters import OutputError
from converters.staging import check_output, disk_errors
from effnet.exports.options import ENDINGS, VERSIONED, ExportOptions


@contextmanager
def staged(target: Path, options: ExportOptions) -> Generator[tuple[Path, Path]]:
    """Where to write, and where that goes when the context ends without an error; nothing is left otherwise.

    The second is `target` itself, a file, or a numbered folder in it, the next free number unless one is given. Model
    servers watch such folders, so a version appears whole.

    Raises `OutputError` for a place that cannot be taken.
    """
    place = place_of(target, options)
    with disk_errors(place):
        is_file = place.suffix == ENDINGS.get(options.kind)
        if not is_file:
            place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{place.name}.", suffix=".partial", dir=place.parent) as folder:
            made = Path(folder) / place.name
            inside = VERSIONED.get(options.kind)
            if not is_file and inside is not None:
                made.mkdir()
            yield (made if is_file or inside is None else made / inside), place
            if is_file:
                check_output(place, overwrite=options.overwrite)
                made.replace(place)
            else:
                _as_others(made)
                _put_folder(made, place, Path(folder), overwrite=options.overwrite)


def place_of(target: Path, options: ExportOptions) -> Path:
    """The file, or the numbered folder, that an export gets. Raises `OutputError` for a place that cannot be taken."""
    ending = ENDINGS.get(options.kind)
    if target.suffix == ending:
        if options.version is not None:
            raise OutputError(
                f"{target} is a single file, which has no version. Leave out --version, or name the folder of a model."
            )
        check_output(target, overwrite=options.overwrite)
        return target
    if options.kind not in VERSIONED:
        raise OutputError(f"{target} should end in {ending}, which is what {options.kind} is written as.")
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file; expected the folder of a model, in which versions are numbered.")
    place = target / str(options.version or _next_version(target))
    if place.exists() and not options.overwrite:
        raise OutputError(
            f"{place} exists. Pass --force (overwrite=True) to replace it, or leave out --version for the next number."
        )
    return place


def _next_version(folder: Path) -> int:
    entries = folder.iterdir() if folder.is_dir() else ()
    return 1 + max((int(entry.name) for entry in entries if entry.name.isascii() and entry.name.isdigit()), default=0)


def _put_folder(made: Path, place: Path, scratch: Path, *, overwrite: bool) -> None:
    if place.exists() and overwrite:
        old = scratch / "old"
        place.rename(old)
        try:
            made.rename(place)
        except OSError:
            old.rename(place)
            raise
        shutil.rmtree(old)
    else:
        made.rename(place)


def _as_others(folder: Path) -> None:
    """Give the folder the rights that one has which is made in the usual way: temporary ones are closed to others."""
    umask = os.umask(0)
    os.umask(umask)
    folder.chmod(0o777 & ~umask)
