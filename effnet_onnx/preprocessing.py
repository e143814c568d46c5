"""Decoded images as a network's input, in numpy: executes `effnet_core.plan`.

Shapes: H, W of the image, S x S of the input, C = 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet_core import Arithmetic, InvalidSpec, Plan, Preprocessing, Taps, plan
from effnet_core.taps import PRECISION_BITS

Pixels = NDArray[Any]

_BLOCK = 16
"""Pixels of the result that one product of matrices computes."""


def prepare(image_HWC: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """One decoded image (H, W, 3) of 8 bits as normalised input (S, S, 3) with S = `preprocessing.resolution`.

    Raises `InvalidSpec` for an image of another shape or type, or one whose sides no plan takes.
    """
    if image_HWC.ndim != 3 or image_HWC.shape[-1] != 3 or image_HWC.dtype != np.uint8:
        raise InvalidSpec(
            f"The image has the shape {image_HWC.shape} and the type {image_HWC.dtype}; expected (height, width, 3), "
            "uint8."
        )
    height, width, _ = image_HWC.shape
    made = plan(preprocessing, height=height, width=width)
    pixels_SSC = resized(image_HWC, made)
    if made.clips:
        pixels_SSC = np.clip(pixels_SSC, 0, 255)
    mean, scale = (np.array(numbers, np.float32) for numbers in (made.mean, made.scale))
    return np.asarray((pixels_SSC - mean) / scale, np.float32)


def resized(image_HWC: NDArray[np.uint8], made: Plan) -> NDArray[np.float32]:
    """The part of an image (H, W, 3) that the plan cuts out, resized to (S, S, 3); not clipped, not normalised."""
    box = made.box
    part: Pixels = image_HWC[box.top : box.top + box.height, box.left : box.left + box.width]
    resize_axis = _AXES[made.arithmetic]
    for axis in (0, 1) if made.rows_first else (1, 0):
        part = resize_axis(part, made.columns if axis else made.rows, axis=axis)
    return part.astype(np.float32)


def _taken(image: Pixels, taps: Taps, tap: int, axis: int) -> NDArray[np.float32]:
    return np.take(image, [row[tap] for row in taps.indices], axis=axis).astype(np.float32)


def _weights(taps: Taps, tap: int, axis: int) -> NDArray[np.float32]:
    return np.expand_dims(np.array([row[tap] for row in taps.weights], np.float32), (1 - axis, 2))


def _summed(image: Pixels, taps: Taps, *, axis: int) -> NDArray[np.float32]:
    """float32, from the first tap to the last."""
    total = _taken(image, taps, 0, axis) * _weights(taps, 0, axis)
    for tap in range(1, len(taps.indices[0])):
        total += _taken(image, taps, tap, axis) * _weights(taps, tap, axis)
    return total


def _between(image: Pixels, taps: Taps, *, axis: int) -> NDArray[np.float32]:
    """float32, two taps a and b: a + (b - a) * weight of b."""
    first, between = (_taken(image, taps, tap, axis) for tap in (0, 1))
    between -= first
    between *= _weights(taps, 1, axis)
    between += first
    return between


def _rounded(image: Pixels, taps: Taps, *, axis: int) -> NDArray[np.uint8]:
    """Fixed point, rounded to 8 bits. float64 holds every sum exactly, in whatever order it is added up."""
    source = np.moveaxis(image, axis, 0)
    result = np.empty((len(taps.indices), *source.shape[1:]), np.uint8)
    for start in range(0, len(result), _BLOCK):
        indices = np.array(taps.indices[start : start + _BLOCK])
        first, last = indices.min(), indices.max() + 1
        matrix = np.zeros((len(indices), last - first))
        np.add.at(matrix, (np.arange(len(indices))[:, None], indices - first), taps.weights[start : start + _BLOCK])
        sums = matrix @ source[first:last].reshape(last - first, -1).astype(np.float64)
        values = np.floor((sums + (1 << PRECISION_BITS - 1)) / (1 << PRECISION_BITS))
        result[start : start + _BLOCK] = np.clip(values, 0, 255).reshape(-1, *source.shape[1:])
    return np.moveaxis(result, 0, axis)


_AXES: dict[Arithmetic, Callable[..., Pixels]] = {
    Arithmetic.SUM: _summed,
    Arithmetic.BETWEEN: _between,
    Arithmetic.FIXED_POINT: _rounded,
}
"""Resizes one axis, 0 or 1, of an image (H, W, 3)."""
