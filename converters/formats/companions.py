"""Text files that lie beside the weights in a folder of the Hugging Face hub, and say what network they are for."""

from __future__ import annotations

from pathlib import Path

from converters.errors import FormatError, UnreadableFile
from converters.formats._input import InputFile

COMPANIONS = ("config.json", "preprocessor_config.json")
"""Their names, which are also their keys in a reader's metadata."""
_LARGEST = 4 << 20
"""Bytes; with the names of all classes of ImageNet-21k a configuration has less than 2 MB."""


def read_companions(folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """The text of those that exist, by name, and a note for each that was left out.

    They are no part of the weights: one that cannot be read is no reason to refuse them.
    """
    found: dict[str, str] = {}
    notes: list[str] = []
    for name in COMPANIONS:
        path = folder / name
        if not path.exists():
            continue
        try:
            found[name] = _text(path)
        except (UnreadableFile, FormatError, UnicodeDecodeError) as error:
            notes.append(f"{name} beside the weights was left out: {error}")
    return found, tuple(notes)


def _text(path: Path) -> str:
    file = InputFile(path)
    try:
        if file.size > _LARGEST:
            raise FormatError(f"{path} has {file.size} bytes; at most {_LARGEST} are read.")
        return file.bytes_at(0, file.size).decode()
    finally:
        file.close()
