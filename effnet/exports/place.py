"""Where an export goes: it is made in a hidden folder beside its place and moved there when it has been checked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from converters import OutputError
from converters.formats.staging import check_output, disk_errors
from effnet.exports.options import ENDINGS, VERSIONED, ExportOptions

_SAVED_MODEL = "saved_model.pb"


@dataclass(kw_only=True)
class Staging:
    """An export that is being made."""

    path: Path
    """Where to write: a file, or a folder that does not exist."""
    place: Path
    """Where it goes. Another number than was foreseen when another export took that one meanwhile."""


@contextmanager
def staged(target: Path, options: ExportOptions) -> Generator[Staging]:
    """Where to write, and where that goes when the context ends without an error; nothing is left otherwise.

    The place is `target` itself, a file, or a numbered folder in it, the next free number unless one is given. Model
    servers watch such folders, so a version appears whole.

    Raises `OutputError` for a place that cannot be taken.
    """
    place = place_of(target, options)
    with disk_errors(place), _folders_for(place):
        is_file = place.suffix == ENDINGS.get(options.kind)
        with tempfile.TemporaryDirectory(prefix=f".{place.name}.", suffix=".partial", dir=place.parent) as folder:
            made = Path(folder) / place.name
            inside = VERSIONED.get(options.kind)
            if not is_file and inside is not None:
                made.mkdir()
            staging = Staging(path=made if is_file or inside is None else made / inside, place=place)
            yield staging
            if is_file:
                check_output(place, overwrite=options.overwrite)
                made.replace(place)
            else:
                _as_others(made)
                staging.place = _put_folder(made, target, options)


@contextmanager
def _folders_for(place: Path) -> Generator[None]:
    """The folders above a place, which go again where the context ends with an error."""
    missing = [folder for folder in place.parents if not folder.exists()]
    if place.suffix not in ENDINGS.values():
        place.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # somebody else may have put something there
            for folder in missing:
                folder.rmdir()
        raise


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
    if target.suffix in ENDINGS.values():
        raise OutputError(
            f"{target} ends as files of another kind do; expected "
            f"{'a folder' if ending is None else f'a folder, or a file that ends in {ending},'} for {options.kind}."
        )
    if options.kind not in VERSIONED:
        raise OutputError(f"{target} should end in {ending}, which is what {options.kind} is written as.")
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file; expected the folder of a model, in which versions are numbered.")
    place = target / str(options.version or _next_version(target))
    if place.exists():
        _check_replaceable(place, options)
    return place


def _check_replaceable(place: Path, options: ExportOptions) -> None:
    if not options.overwrite:
        raise OutputError(
            f"{place} exists. Pass --force (overwrite=True) to replace it, or leave out --version for the next number."
        )
    mark = VERSIONED[options.kind] or _SAVED_MODEL
    if not (place / mark).is_file():
        raise OutputError(
            f"{place} holds no {mark}, so it is no export of this kind, and is not replaced. Remove it, or take "
            "another --version."
        )


def _next_version(folder: Path) -> int:
    entries = folder.iterdir() if folder.is_dir() else ()
    return 1 + max((int(entry.name) for entry in entries if entry.name.isascii() and entry.name.isdigit()), default=0)


def _put_folder(made: Path, target: Path, options: ExportOptions) -> Path:
    """Give the folder its number; where another export took it meanwhile, the next one."""
    while True:
        place = place_of(target, options)
        if place.exists():
            _replace_folder(made, place)
            return place
        try:
            made.rename(place)
            return place
        except OSError:
            if options.version is not None or not place.exists():
                raise


def _replace_folder(made: Path, place: Path) -> None:
    """Between its two steps there is no version; whatever ends the first without the second puts the old one back."""
    old = made.with_name("old")
    place.rename(old)
    try:
        made.rename(place)
    except BaseException:
        if not place.exists():
            old.rename(place)
        raise


def _as_others(folder: Path) -> None:
    """Give the folder the rights that one has which is made in the usual way: temporary ones are closed to others."""
    umask = os.umask(0)
    os.umask(umask)
    folder.chmod(0o777 & ~umask)
