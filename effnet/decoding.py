"""The bytes of image files as pixels of 8 bits, by Pillow and simplejpeg, for every backend but TensorFlow's graph.

The pixels are taken as the file stores them, as the official code does: a rotation noted in EXIF and colour profiles
are not applied, transparency is dropped. Of an animation the first frame is taken.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.errors import InputError, MissingFramework
from effnet_core import JpegDecoding

Pixels = NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What is decoded. Pillow knows more, some of which start other programs (EPS)."""
PIXEL_LIMIT = 100_000_000
"""Larger images are refused before their pixels are decoded."""
_JPEG = b"\xff\xd8\xff"


def decode(data: bytes, *, jpeg: JpegDecoding, name: str = "The image") -> Pixels:
    """The image in a file of these bytes as (height, width, 3); `name` stands for it in messages.

    Raises `InputError` for bytes that are broken, enormous or no image, `MissingFramework` without Pillow, and for a
    JPEG without simplejpeg.
    """
    if find_spec("PIL") is None:
        raise MissingFramework("Reading images needs Pillow. Install it: pip install 'effnet[images]'.")
    with _one_error(name), import_module("PIL.Image").open(io.BytesIO(data), formats=FORMATS) as image:
        _check_size(name, *image.size)
        if image.mode == "CMYK":
            image.load()  # a broken one is an error here, whoever decodes it
        if data.startswith(_JPEG) and jpeg is JpegDecoding.FAST:
            return _fast_jpeg(data, image)
        return _by_pillow(image, name)


@contextmanager
def _one_error(name: str) -> Generator[None]:
    """What Pillow, its decoders and simplejpeg raise, as `InputError`."""
    pillow = import_module("PIL.Image")
    with warnings.catch_warnings():
        # Pillow warns from 89 million pixels on; the limit here is the one above.
        warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
        try:
            yield
        except (InputError, MissingFramework):
            raise
        except pillow.UnidentifiedImageError:
            raise InputError(f"{name} is no image that is read here. Expected one of {', '.join(FORMATS)}.") from None
        except pillow.DecompressionBombError as error:
            raise InputError(f"{name}: {error}. Make it smaller first.") from None
        # The decoders report damage with all of these.
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError) as error:
            raise InputError(f"{name} cannot be read as an image: {error}.") from None


def _check_size(name: str, width: int, height: int) -> None:
    if width * height > PIXEL_LIMIT:
        raise InputError(
            f"{name} has {width} x {height} pixels; at most {PIXEL_LIMIT:,} are decoded. Make it smaller first."
        )


def _fast_jpeg(data: bytes, image: Any) -> Pixels:
    """As TensorFlow decodes it by default."""
    if find_spec("simplejpeg") is None:
        raise MissingFramework(
            "Decoding JPEG as TensorFlow does needs simplejpeg. Install it: pip install 'effnet[images]'."
        )
    jpeg: Any = import_module("simplejpeg")
    if image.mode != "CMYK":
        return jpeg.decode_jpeg(data, colorspace="RGB", fastdct=True)
    inks = jpeg.decode_jpeg(data, colorspace="CMYK", fastdct=True)
    return _from_inks(inks if "adobe" in image.info else 255 - inks)


def _from_inks(paper: Pixels) -> Pixels:
    """RGB of four channels that say how much of the paper each ink leaves free.

    Source: tensorflow/core/lib/jpeg/jpeg_mem.cc, which cuts the quotient; Pillow's own conversion rounds it.
    """
    wide = paper.astype(np.uint16)
    return (wide[..., :3] * wide[..., 3:] // 255).astype(np.uint8)


def _by_pillow(image: Any, name: str) -> Pixels:
    """The first frame in RGB. Of 16 bits the upper 8 are taken, as libpng does it for TensorFlow."""
    if image.mode == "CMYK":
        return _from_inks(255 - np.asarray(image))
    if image.mode.startswith("I;16") or image.mode == "I":
        grey = np.asarray(image, dtype=np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise InputError(f"{name} holds grey values outside 0..65535. Convert it to 8 bits for each channel first.")
        return np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    if image.mode == "F":
        raise InputError(f"{name} holds floating-point pixels. Convert it to 8 bits for each channel first.")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))
