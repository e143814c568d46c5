"""The bytes of image files as pixels of 8 bits, by Pillow and simplejpeg, for every backend but TensorFlow's graph.

The pixels are taken as the file stores them, as the official code does: a rotation noted in EXIF and colour profiles
are not applied, transparency is dropped. Of an animation the first frame is taken.
"""

from __future__ import annotations

import io
import re
import warnings
import zlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.errors import InputError, MissingFramework, install_command
from effnet_core import PIXEL_LIMIT, JpegDecoding
from effnet_core.taps import MAX_LENGTH

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What is decoded. Pillow knows more, some of which start other programs (EPS)."""
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_COUNT = re.compile(r"\((\d+) pixels\)")
"""How Pillow says how many there are."""
_NEEDS_PILLOW = f"Reading images needs Pillow. Install it, in the checkout: {install_command('images')}."


def decode(
    data: bytes, *, jpeg: JpegDecoding, pixel_limit: int = PIXEL_LIMIT, name: str = "The image"
) -> NDArray[np.uint8]:
    """The image in a file of these bytes as (height, width, 3); `name` stands for it in messages.

    Raises `InputError` for bytes that are broken or no image, and for an image of more than `pixel_limit` pixels before
    these are decoded; `MissingFramework` without Pillow, and for a JPEG without simplejpeg.
    """
    if find_spec("PIL") is None:
        raise MissingFramework(_NEEDS_PILLOW)
    with (
        _one_error(name, FORMATS, pixel_limit=pixel_limit),
        import_module("PIL.Image").open(io.BytesIO(data), formats=FORMATS) as image,
    ):
        _check_size(name, *image.size, pixel_limit=pixel_limit)
        if image.format == "PNG":
            _check_end(data)
        if data.startswith(_JPEG) and jpeg is JpegDecoding.FAST:
            return _fast_jpeg(data, image)
        return _by_pillow(image, name)


def check_size(
    data: bytes, *, pixel_limit: int = PIXEL_LIMIT, name: str = "The image", formats: Sequence[str] = FORMATS
) -> int:
    """The pixels, height times width, that the head of an image file names, for those who decode it otherwise.

    `formats`: those of `FORMATS` that they decode. Raises as `decode` does.
    """
    if find_spec("PIL") is None:
        raise MissingFramework(_NEEDS_PILLOW)
    with (
        _one_error(name, formats, pixel_limit=pixel_limit),
        import_module("PIL.Image").open(io.BytesIO(data), formats=formats) as image,
    ):
        width, height = image.size
        _check_size(name, width, height, pixel_limit=pixel_limit)
    return width * height


@contextmanager
def _one_error(name: str, formats: Sequence[str], *, pixel_limit: int) -> Generator[None]:
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
            raise InputError(f"{name} is no image that is read here. Expected one of {', '.join(formats)}.") from None
        except pillow.DecompressionBombError as error:  # from 179 million pixels on, before the limit here is looked at
            count = _COUNT.search(str(error))
            raise InputError(
                f"{name} has {int(count[1]):,} pixels; at most {pixel_limit:,} are decoded. Make it smaller first."
                if count is not None
                else f"{name} has more pixels than are decoded, at most {pixel_limit:,}. Make it smaller first."
            ) from None
        # The decoders report damage with all of these.
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError) as error:
            raise InputError(f"{name} cannot be read as an image: {error}.") from None


def _check_size(name: str, width: int, height: int, *, pixel_limit: int) -> None:
    if width * height > pixel_limit or max(width, height) > MAX_LENGTH:
        raise InputError(
            f"{name} has {width} x {height} pixels; at most {pixel_limit:,} are decoded, and {MAX_LENGTH:,} a side. "
            "Make it smaller first."
        )


def _check_end(data: bytes) -> None:
    """Raise `ValueError` for a PNG without a whole last chunk: Pillow stops reading before it, libpng does not."""
    place = len(_PNG)
    while place < len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4])
        if data[place + 4 : place + 8] == b"IEND":
            if zlib.crc32(data[place + 4 : end]) == int.from_bytes(data[end : end + 4]):
                return
            raise ValueError("the checksum of its last chunk is wrong")
        place = end + 4
    raise ValueError("it is cut off before its last chunk")


def _fast_jpeg(data: bytes, image: Any) -> NDArray[np.uint8]:
    """As TensorFlow decodes it by default."""
    if find_spec("simplejpeg") is None:
        raise MissingFramework(
            "Decoding JPEG as TensorFlow does needs simplejpeg. Install it, in the checkout: "
            f"{install_command('images')}."
        )
    decode_jpeg: Any = import_module("simplejpeg").decode_jpeg
    options = {"colorspace": "CMYK" if image.mode == "CMYK" else "RGB", "fastdct": True}
    try:
        pixels = decode_jpeg(data, **options)
    except ValueError as error:
        if not str(error).startswith("Corrupt JPEG data"):
            raise
        # Damage after which libjpeg goes on, as TensorFlow and Pillow let it; what is cut off is an error for Pillow.
        image.load()
        pixels = decode_jpeg(data, **options, strict=False)
    return _from_inks(pixels, image) if image.mode == "CMYK" else pixels


def _from_inks(stored: NDArray[np.uint8], image: Any) -> NDArray[np.uint8]:
    """RGB of the four channels that a JPEG of printing inks stores; Adobe's programs store how much ink is left out.

    Source: tensorflow/core/lib/jpeg/jpeg_mem.cc, which cuts the quotient. Pillow's own conversion rounds it, and takes
    every such file for one of Adobe's.
    """
    left_out = (stored if "adobe" in image.info else 255 - stored).astype(np.uint16)
    return (left_out[..., :3] * left_out[..., 3:] // 255).astype(np.uint8)


def _by_pillow(image: Any, name: str) -> NDArray[np.uint8]:
    """The first frame in RGB. Of 16 bits the upper 8 are taken, as libpng does it for TensorFlow."""
    if image.mode == "CMYK" and image.format in ("JPEG", "MPO"):
        return _from_inks(255 - np.asarray(image), image)
    if image.mode.startswith("I;16") or image.mode == "I":
        grey = np.asarray(image, dtype=np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise InputError(f"{name} holds grey values outside 0..65535. Convert it to 8 bits for each channel first.")
        return np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    if image.mode == "F":
        raise InputError(f"{name} holds floating-point pixels. Convert it to 8 bits for each channel first.")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))  # a copy: Pillow's own memory cannot be written to
