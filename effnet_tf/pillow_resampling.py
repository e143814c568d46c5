"""Pillow's resampling as a TensorFlow graph, bit for bit: the rules of `effnet_core.taps` for sizes that are only known
when the graph runs.

Sources: those that `effnet_core.taps` names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from effnet_core import Resampling
from effnet_core.taps import PRECISION_BITS
from effnet_tf._tensorflow import tf

Tensor = Any

_SUPPORT = {Resampling.PILLOW_BICUBIC: 2.0, Resampling.PILLOW_BILINEAR: 1.0}


def pillow_resized(
    image_HWC: Tensor,
    resampling: Resampling,
    *,
    resized: tuple[Tensor, Tensor],
    start: tuple[Tensor, Tensor],
    side: int,
) -> Tensor:
    """The square with that side, from `start` on, of the image that is resized to `resized`, (S, S, 3) float32."""
    shape = tf.shape(image_HWC)

    def resize_axis(image: Tensor, axis: int) -> Tensor:
        along = _Along(length=shape[axis], resized=resized[axis], start=start[axis], side=side)
        if resampling is Resampling.PILLOW_NEAREST:
            return tf.gather(image, _nearest(along), axis=axis)
        return _rounded(image, *_taps(resampling, along), axis=axis)

    lost_rows, lost_columns = shape[0] - resized[0], shape[1] - resized[1]
    pixels = tf.cond(
        lost_rows > tf.maximum(2 * lost_columns, 0),
        lambda: resize_axis(resize_axis(image_HWC, 0), 1),
        lambda: resize_axis(resize_axis(image_HWC, 1), 0),
    )
    return tf.cast(pixels, tf.float32)


@dataclass(frozen=True, kw_only=True)
class _Along:
    """One axis: its length, the length that it is resized to, and the `side` pixels from `start` on that are wanted."""

    length: Tensor
    resized: Tensor
    start: Tensor
    side: int


def _nearest(along: _Along) -> Tensor:
    """Indices (S,). The places are added up one by one, as Pillow does."""
    scale = tf.cast(along.length, tf.float64) / tf.cast(along.resized, tf.float64)
    steps = tf.concat([[scale * 0.5], tf.fill([along.start + along.side - 1], scale)], 0)
    return tf.minimum(tf.cast(tf.cumsum(steps)[along.start :], tf.int32), along.length - 1)


def _taps(resampling: Resampling, along: _Along) -> tuple[Tensor, Tensor]:
    """Indices (S, taps) and fixed-point weights (S, taps); the weights beyond an axis' ends are 0."""
    size = tf.cast(along.length, tf.float64)
    scale = size / tf.cast(along.resized, tf.float64)
    stretch = tf.maximum(scale, 1.0)
    reach = _SUPPORT[resampling] * stretch
    centre = (tf.cast(along.start + tf.range(along.side), tf.float64) + 0.5) * scale
    first = tf.maximum(tf.cast(centre - reach + 0.5, tf.int32), 0)
    last = tf.minimum(tf.cast(centre + reach + 0.5, tf.int32), along.length)
    places = first[:, None] + tf.range(tf.cast(tf.math.ceil(reach), tf.int32) * 2 + 1)
    x = tf.abs((tf.cast(places, tf.float64) - centre[:, None] + 0.5) * (1 / stretch))
    weights = tf.where(places < last[:, None], _weigh(resampling, x), 0.0)
    # One after the other, as Pillow adds them up: another order rounds otherwise.
    total = tf.cumsum(weights, axis=1)[:, -1:]
    scaled = tf.where(total != 0, weights / total, weights) * float(1 << PRECISION_BITS)
    fixed = tf.cast(scaled + tf.where(scaled < 0, tf.constant(-0.5, tf.float64), 0.5), tf.int32)
    return tf.minimum(places, along.length - 1), fixed


def _weigh(resampling: Resampling, x: Tensor) -> Tensor:
    """The kernel at distances x >= 0, float64."""
    if resampling is Resampling.PILLOW_BILINEAR:
        return tf.maximum(1 - x, 0.0)
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return tf.where(x < 1, near, tf.where(x < 2, far, 0.0))


def _rounded(image: Tensor, indices: Tensor, weights: Tensor, *, axis: int) -> Tensor:
    """One pass: whole numbers of 32 bits, tap after tap, rounded to 8 bits."""
    along = [1 if other != axis else -1 for other in range(3)]
    shape = tf.shape(image)
    half = tf.constant(1 << PRECISION_BITS - 1, tf.int32)
    total = tf.fill(tf.tensor_scatter_nd_update(shape, [[axis]], [tf.shape(indices)[0]]), half)

    def add_tap(tap: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        pixels = tf.cast(tf.gather(image, indices[:, tap], axis=axis), tf.int32)
        return tap + 1, total + pixels * tf.reshape(weights[:, tap], along)

    def is_left(tap: Tensor, _: Tensor) -> Tensor:
        return tap < tf.shape(indices)[1]

    _, total = tf.while_loop(is_left, add_tap, (tf.constant(0), total))
    return tf.cast(tf.clip_by_value(tf.bitwise.right_shift(total, PRECISION_BITS), 0, 255), tf.uint8)
