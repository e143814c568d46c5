"""Photographs as the network's input: decoded, cropped, resized and normalised as its preprocessing says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effnet.decoding import decode
from effnet.errors import InputError
from effnet.files import check_regular
from effnet_core import InvalidSpec, Preprocessing


def load_image(path: Path, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """One image as normalised (height, width, 3), both sides `preprocessing.resolution`.

    Raises `InputError` for a file that is missing, broken, enormous or no image, `MissingFramework` where a library
    that decodes it is not installed.
    """
    try:
        check_regular(path)
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read as an image: {error}.") from None
    return load_bytes(data, preprocessing, name=str(path))


def load_bytes(data: bytes, preprocessing: Preprocessing, *, name: str = "The image") -> NDArray[np.float32]:
    """The image in a file of these bytes as `load_image` gives it; `name` stands for it in messages.

    Raises as `load_image` does.
    """
    from effnet_onnx.preprocessing import prepare

    pixels = decode(data, jpeg=preprocessing.jpeg, name=name)
    try:
        return prepare(pixels, preprocessing)
    except InvalidSpec as error:
        raise InputError(f"{name}: {error}") from None
