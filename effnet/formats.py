"""The formats of the front door: those of the converters; the Keras archive is written by TensorFlow."""

from __future__ import annotations

from pathlib import Path

from converters.formats import find_format

KERAS = "keras"
KERAS_SUFFIX = ".keras"


def check_format(name: str | None) -> None:
    """Raise `FormatError`, naming all formats, unless there is one of that name; None stands for any."""
    if name is not None:
        find_format(name)


def asks_for_keras(target: str | Path, name: str | None) -> bool:
    """Whether an output shall be a Keras archive: by the format that is named, else by its own name."""
    check_format(name)
    return Path(target).suffix == KERAS_SUFFIX if name is None else name == KERAS
