"""The bytes of image files as pixels, in a TensorFlow graph that looks at their headers first.

The formats are JPEG, PNG, WebP without animation and BMP without palette. The others that TensorFlow knows are refused:
it takes the palette's numbers of a BMP for grey, and unpacks every frame of a GIF or an animated WebP, whose sizes
stand in no header.
"""

from __future__ import annotations

from typing import Any

from effnet_core import PIXEL_LIMIT, JpegDecoding
from effnet_core.taps import MAX_LENGTH
from effnet_tf._tensorflow import tf
from effnet_tf.image_headers import Header

Tensor = Any
"""A tensor of TensorFlow, symbolic or not."""
_METHODS = {JpegDecoding.FAST: "INTEGER_FAST", JpegDecoding.ACCURATE: "INTEGER_ACCURATE"}


def decode(contents: Tensor, *, jpeg: JpegDecoding, pixel_limit: int = PIXEL_LIMIT) -> Tensor:
    """The image in a file of these bytes, a string scalar, as (height, width, 3) of 8 bits.

    Pixels are taken as the file stores them: a rotation noted in EXIF is not applied, transparency is dropped, of 16
    bits the upper 8 are taken. Running it fails with `tf.errors.InvalidArgumentError` for bytes that are broken or no
    image of these formats, and for an image of more than `pixel_limit` pixels before these are decoded.
    """
    header = Header.of(contents)
    with tf.control_dependencies(_checks(header, pixel_limit)):
        contents = tf.identity(contents)
    image = tf.case(
        [
            (header.is_jpeg, lambda: tf.io.decode_jpeg(contents, channels=3, dct_method=_METHODS[jpeg])),
            (header.is_webp & header.has_webp_alpha, lambda: _of_channels(contents, 4)[..., :3]),
        ],
        default=lambda: _of_channels(contents, 3),
    )
    return tf.ensure_shape(image, (None, None, 3))


def _of_channels(contents: Tensor, channels: int) -> Tensor:
    return tf.io.decode_image(contents, channels=channels, expand_animations=False)


def _checks(header: Header, pixel_limit: int) -> list[Tensor]:
    size = header.size
    is_known = header.is_jpeg | header.is_png | header.is_webp | header.is_bmp
    return [
        tf.debugging.Assert(
            is_known,
            [
                "The bytes are no image that is read here; expected JPEG, PNG, WebP or BMP. They begin:",
                header.numbers[:8],
            ],
        ),
        tf.debugging.Assert(
            tf.reduce_all(size <= MAX_LENGTH) & (tf.reduce_prod(size) <= pixel_limit),
            [f"At most {MAX_LENGTH} pixels a side and {pixel_limit} in all are decoded. Make the image smaller:", size],
        ),
        tf.debugging.Assert(
            ~header.is_bmp | (header.bmp_bits > 8),
            ["A BMP with a palette is not read here; save it as PNG. Bits for each pixel:", header.bmp_bits],
        ),
        tf.debugging.Assert(
            ~(header.is_webp & header.is_animated_webp),
            ["An animated WebP is not read here; expected a single image. Save its first frame alone."],
        ),
    ]
