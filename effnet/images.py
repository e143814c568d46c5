"""Photographs as the network's input: decoded, cropped, resized and normalised as its preprocessing says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effnet.decoding import decode
from effnet.errors import InputError
from effnet.files import check_regular
from effnet_core import PIXEL_LIMIT, InvalidSpec, Preprocessing

_FILE_LIMIT = 1 << 30
"""Bytes that are read of an image file; one of 16 bits and `PIXEL_LIMIT` pixels needs fewer."""


def load_image(path: Path, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """One image as normalised (height, width, 3), both sides `preprocessing.resolution`.

    Raises `InputError` for a file that is missing, broken, enormous or no image, `MissingFramework` where a library
    that decodes it is not installed.
    """
    try:
        check_regular(path)
        if path.stat().st_size > _FILE_LIMIT:
            raise InputError(f"{path} is larger than {_FILE_LIMIT >> 20} MiB. Expected the file of a photograph.")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read as an image: {error.strerror or error}.") from None
    return load_bytes(data, preprocessing, name=str(path))


def load_bytes(
    data: bytes, preprocessing: Preprocessing, *, pixel_limit: int = PIXEL_LIMIT, name: str = "The image"
) -> NDArray[np.float32]:
    """The image in a file of these bytes as `load_image` gives it; `name` stands for it in messages.

    Raises as `load_image` does.
    """
    from effnet_onnx.preprocessing import prepare

    pixels = decode(data, jpeg=preprocessing.jpeg, pixel_limit=pixel_limit, name=name)
    try:
        return prepare(pixels, preprocessing)
    except InvalidSpec as error:
        raise InputError(f"{name}: {error}") from None
