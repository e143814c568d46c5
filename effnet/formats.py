"""The formats of the front door: those of the converters; the Keras archive is written by TensorFlow."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

import converters
from converters import FormatError

KERAS = "keras"
KERAS_SUFFIX = ".keras"
FORMATS = tuple(converters.FORMATS)
"""Their names, as options take them."""


def check_format(name: str | None) -> None:
    """Raise `FormatError`, naming all formats, unless there is one of that name; None stands for any."""
    if name is not None and name not in FORMATS:
        near = get_close_matches(name, FORMATS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise FormatError(f"There is no format named {name!r}.{hint} Formats: {', '.join(FORMATS)}.")


def asks_for_keras(target: str | Path, name: str | None) -> bool:
    """Whether an output shall be a Keras archive: by the format that is named, else by its own name."""
    check_format(name)
    return Path(target).suffix == KERAS_SUFFIX if name is None else name == KERAS
