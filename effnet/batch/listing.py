"""Which images there are, in an order that is the same every time: named ones, folders, trees of classes, tables.

A listing is walked as often as it is needed and never held whole: of a folder, and of each one above it, the names are
held while it is walked, because they are sorted.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from effnet.errors import InputError
from effnet.files import check_regular

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})
"""What counts as an image in a folder; a file that is named is always taken."""
_ENDINGS = 5
"""Of files that are left out, how many are told."""
COLUMNS = ("path", "class")
"""What a table of labels needs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One file."""

    path: str
    group: str | None = None
    """What stands for its class: the name of its folder, or what a table says."""

    @property
    def name(self) -> str:
        """The path as text that every file can hold: bytes that are no UTF-8 are escaped."""
        return os.fsencode(self.path).decode("utf-8", "backslashreplace")


class Listing(Protocol):
    """Files in an order of their own. Every method raises `InputError` for what cannot be listed."""

    def items(self, left_out: Counter[str] | None = None) -> Iterator[Item]:
        """The images; `left_out` counts, by their endings, the files of folders that are taken for none."""
        ...

    def files(self) -> Iterator[str]:
        """What is read and could be taken for a table by its name: all but the images in folders."""
        ...

    def groups(self) -> tuple[str, ...]:
        """Everything that stands for a class, sorted; empty where nothing does."""
        ...


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What one walk through a listing tells."""

    count: int
    digest: str
    """SHA-256 of the paths and what stands for their classes, in order."""
    left_out: str | None
    """Which files of folders are taken for no images, a sentence; None where all are."""


class Images:
    """Images, and those of folders and of all folders in them."""

    def __init__(self, paths: str | Path | Sequence[str | Path]) -> None:
        self._paths = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
        for path in self._paths:
            if path.suffix.lower() == ".npy" and not path.is_dir():
                raise InputError(f"{path} is an array; expected images and folders. `effnet predict` takes it alone.")
            if not path.is_dir():
                _check_file(path)

    def items(self, left_out: Counter[str] | None = None) -> Iterator[Item]:
        """Files as they are named, those of folders sorted by name."""
        for path in self._paths:
            if path.is_dir():
                yield from (Item(path=found) for found in image_files(path, left_out))
            else:
                yield Item(path=str(path))

    def files(self) -> Iterator[str]:
        """The files that are named."""
        return (str(path) for path in self._paths if not path.is_dir())

    def groups(self) -> tuple[str, ...]:
        """Nothing: these images have no classes."""
        return ()


class Tree:
    """A folder of folders, one for each class, as ImageNet is kept."""

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)
        if not self._root.is_dir():
            raise InputError(f"{root} is no folder; expected one that holds a folder for each class.")

    def items(self, left_out: Counter[str] | None = None) -> Iterator[Item]:
        """Class after class, sorted by name."""
        for entry in _entries(self._root):
            if _is_folder(entry):
                found = image_files(Path(entry.path), left_out)
                yield from (Item(path=path, group=entry.name) for path in found)
            elif _is_image(entry.name):
                raise InputError(
                    f"{entry.path} lies in no folder of a class; expected a folder for each class in {self._root}, or "
                    "a table of labels (--labels FILE.csv)."
                )
            else:
                _leave_out(entry.name, left_out)

    def files(self) -> Iterator[str]:
        """None: all images lie in folders."""
        return iter(())

    def groups(self) -> tuple[str, ...]:
        """The names of the folders, also of empty ones."""
        found = tuple(entry.name for entry in _entries(self._root) if _is_folder(entry))
        if not found:
            raise InputError(f"{self._root} holds no folder; expected one for each class, or --labels FILE.csv.")
        return found


class Table:
    """A CSV file with the columns path and class, in its own order; paths are taken from a folder."""

    def __init__(self, table: str | Path, *, root: str | Path) -> None:
        self._table, self._root = Path(table), Path(root)
        if not self._root.is_dir():
            raise InputError(f"{root} is no folder; expected the one that holds the images of {table}.")
        _check_file(self._table)

    def items(self, left_out: Counter[str] | None = None) -> Iterator[Item]:
        """Row after row; whether there is such a file shows when it is read."""
        try:
            with self._table.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.DictReader(file)
                missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
                if missing:
                    raise InputError(
                        f"{self._table} has no column {' and '.join(missing)}; expected the columns path and class in "
                        f"its first line, found {', '.join(rows.fieldnames or ['nothing'])}."
                    )
                for row in rows:
                    path, group = row["path"], row["class"]
                    if not path or not group:
                        raise InputError(f"{self._table}, line {rows.line_num}: expected a path and a class.")
                    yield Item(path=str(self._root / path), group=group.strip())
        except OSError as error:
            raise InputError(f"{self._table} cannot be read: {error.strerror or error}.") from None
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{self._table} cannot be read as a CSV file in UTF-8: {error}.") from None

    def files(self) -> Iterator[str]:
        """The table, and the files of its rows whose names are not those of images."""
        yield str(self._table)
        yield from (item.path for item in self.items() if not _is_image(item.path))

    def groups(self) -> tuple[str, ...]:
        """The classes that occur."""
        return tuple(sorted({item.group or "" for item in self.items()}))


def survey(listing: Listing) -> Survey:
    """Count a listing and take its digest. Raises `InputError` where it is empty."""
    hashed, count, left_out = sha256(), 0, Counter[str]()
    for item in listing.items(left_out):
        hashed.update(os.fsencode(item.path) + b"\0" + os.fsencode(item.group or "") + b"\0")
        count += 1
    told = _told(left_out)
    if count == 0:
        more = "" if told is None else f" {told}"
        raise InputError(
            f"There is no image. Files that count as one in a folder end with {', '.join(_listed())}.{more}"
        )
    return Survey(count=count, digest=hashed.hexdigest(), left_out=told)


def chosen(listing: Listing, *, count: int, limit: int | None) -> Iterator[Item]:
    """The images of a listing of `count`; where there is a limit, so many of them, evenly spread."""
    wanted = count if limit is None else min(limit, count)
    for place, item in enumerate(listing.items()):
        if place * wanted // count != (place + 1) * wanted // count:
            yield item


def parts(items: Iterable[Item], size: int) -> Iterator[tuple[int, list[Item]]]:
    """Numbered lists of `size` items; the last may be shorter."""
    number, held = 0, list[Item]()
    for item in items:
        held.append(item)
        if len(held) == size:
            yield number, held
            number, held = number + 1, []
    if held:
        yield number, held


def image_files(folder: Path, left_out: Counter[str] | None = None) -> Iterator[str]:
    """The images in a folder and in those inside it, sorted by name; hidden ones are left out, links followed.

    `left_out` counts the endings of the other files that are not hidden.
    """
    yield from _walk(folder, (), left_out)


def _walk(folder: Path, above: tuple[tuple[int, int], ...], left_out: Counter[str] | None) -> Iterator[str]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise InputError(f"{folder} is a link to a folder that it lies in. Remove it, or name the folders one by one.")
    for entry in _entries(folder):
        if _is_folder(entry):
            yield from _walk(Path(entry.path), (*above, here), left_out)
        elif _is_image(entry.name):
            yield entry.path
        else:
            _leave_out(entry.name, left_out)


def _leave_out(name: str, left_out: Counter[str] | None) -> None:
    if left_out is not None:
        left_out[Path(name).suffix.lower()] += 1


def _told(left_out: Counter[str]) -> str | None:
    if not left_out:
        return None
    common = left_out.most_common(_ENDINGS)
    shown = [f"{times:,} {ascii(ending)[1:-1] or 'without an ending'}" for ending, times in common]
    others = left_out.total() - sum(times for _, times in common)
    if others:
        shown.append(f"{others:,} others")
    return f"Left out as no images, by their endings: {', '.join(shown)}."


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((one for one in entries if not one.name.startswith(".")), key=lambda one: one.name)
    except OSError as error:
        raise InputError(f"{folder} cannot be listed: {error.strerror or error}.") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        raise InputError(f"{entry.path} cannot be listed: {error.strerror or error}.") from None


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _check_file(path: Path) -> None:
    try:
        check_regular(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def _listed() -> list[str]:
    return sorted(SUFFIXES)
