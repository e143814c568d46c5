"""Image bytes as a network's input, as a TensorFlow graph for images of any size, which a SavedModel can hold.

It computes what `effnet_core.plan` says, from the size that an image has when the graph runs. Shapes: H, W of the
image, S x S of the input, C = 3.
"""

from __future__ import annotations

from typing import Any

from effnet_core import PIXEL_LIMIT, CentreCrop, Offset, Preprocessing, Resampling, ShorterSide
from effnet_tf._tensorflow import tf
from effnet_tf.decoding import decode
from effnet_tf.pillow_resampling import pillow_resized

Tensor = Any
"""A tensor of TensorFlow, symbolic or not."""

_LEGACY = (Resampling.LEGACY_BICUBIC, Resampling.LEGACY_BILINEAR)
_BICUBIC = (Resampling.LEGACY_BICUBIC, Resampling.HALF_PIXEL_BICUBIC)


def prepare(image_HWC: Tensor, preprocessing: Preprocessing) -> Tensor:
    """One decoded image (H, W, 3) of 8 bits as normalised float32 input (S, S, 3), S = `preprocessing.resolution`."""
    side, crop = preprocessing.resolution, preprocessing.crop
    shape = tf.shape(image_HWC)
    height, width = shape[0], shape[1]
    if isinstance(crop, CentreCrop):
        image_HWC = _centre(image_HWC, crop, side, height, width)
    if isinstance(crop, ShorterSide):
        resized, start = _shorter_side(crop, side, height, width)
    else:
        resized, start = (side, side), (0, 0)
    pixels = _resized(image_HWC, preprocessing.resampling, resized=resized, start=start, side=side)
    if preprocessing.clips:
        pixels = tf.clip_by_value(pixels, 0.0, 255.0)
    mean, scale = (tf.constant(numbers, tf.float32) for numbers in (preprocessing.mean, preprocessing.scale))
    return tf.ensure_shape((pixels - mean) / scale, (side, side, 3))


def prepare_bytes(contents: Tensor, preprocessing: Preprocessing, *, pixel_limit: int = PIXEL_LIMIT) -> Tensor:
    """The bytes of one image, a string scalar, as normalised float32 input (S, S, 3). Fails as `decode` does."""
    return prepare(decode(contents, jpeg=preprocessing.jpeg, pixel_limit=pixel_limit), preprocessing)


def _centre(image: Tensor, crop: CentreCrop, side: int, height: Tensor, width: Tensor) -> Tensor:
    share = tf.constant(side / (side + crop.padding), tf.float32)
    length = tf.cast(share * tf.cast(tf.minimum(height, width), tf.float32), tf.int32)
    length = tf.maximum(length, 1)
    more = 1 if crop.offset is Offset.CEILING else 0
    top, left = (height - length + more) // 2, (width - length + more) // 2
    return tf.slice(image, [top, left, 0], [length, length, 3])


def _shorter_side(
    crop: ShorterSide, side: int, height: Tensor, width: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Height and width of the resized image, and where the central square begins in it."""
    shorter, longer = tf.minimum(height, width), tf.maximum(height, width)
    other = tf.cast(tf.cast(crop.side * tf.cast(longer, tf.int64), tf.float64) / tf.cast(shorter, tf.float64), tf.int32)
    rows = tf.where(height <= width, crop.side, other)
    columns = tf.where(height <= width, other, crop.side)
    # tf.round takes the even neighbour of a half, as torchvision does.
    top, left = (tf.cast(tf.round((tf.cast(one, tf.float64) - side) / 2), tf.int32) for one in (rows, columns))
    return (rows, columns), (top, left)


def _resized(
    image: Tensor,
    resampling: Resampling,
    *,
    resized: tuple[Tensor, Tensor],
    start: tuple[Tensor, Tensor],
    side: int,
) -> Tensor:
    """The square with that side, from `start` on, of the image that is resized to `resized`, (S, S, 3) float32."""
    if resampling in (Resampling.PILLOW_BICUBIC, Resampling.PILLOW_BILINEAR, Resampling.PILLOW_NEAREST):
        return pillow_resized(image, resampling, resized=resized, start=start, side=side)
    # The official code calls these kernels itself; tf.image.resize no longer reaches the ones without half pixels.
    kernel = tf.raw_ops.ResizeBicubic if resampling in _BICUBIC else tf.raw_ops.ResizeBilinear
    fits = tf.reduce_prod(tf.cast(tf.stack(resized), tf.int64)) <= PIXEL_LIMIT
    limit = tf.debugging.Assert(fits, [f"It would be resized to more than {PIXEL_LIMIT} pixels; too long:", *resized])
    with tf.control_dependencies([limit]):
        size = tf.stack(resized)
    whole = kernel(
        images=image[None],
        size=size,
        align_corners=False,
        half_pixel_centers=resampling not in _LEGACY,
    )
    return tf.slice(whole[0], [start[0], start[1], 0], [side, side, 3])
