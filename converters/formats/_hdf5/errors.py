"""One error for everything that can be wrong in an HDF5 file."""

from __future__ import annotations

import struct
from collections.abc import Generator
from contextlib import contextmanager

from converters.errors import FormatError, UnsupportedFile


def damaged(where: str, reason: object) -> FormatError:
    """The error for a file that neither HDF5 nor Keras would have written."""
    return FormatError(f"{where} is no sound HDF5 file of Keras: {reason}. Fetch or copy it again, or save it again.")


def unusual(where: str, what: str) -> UnsupportedFile:
    """The error for a sound file that holds what Keras does not write."""
    return UnsupportedFile(f"{where} {what}, which Keras does not write and is not read here. Save it again in Keras.")


UNSOUND = (ValueError, struct.error, IndexError)
"""What fails while damaged bytes are taken apart."""


@contextmanager
def reading(where: str) -> Generator[None]:
    """Turn what fails while bytes are taken apart into a `FormatError`."""
    try:
        yield
    except UNSOUND as error:
        raise damaged(where, error) from error
