"""Which pixels of a row or column make each pixel of the resized one, and with what weights.

The numbers are those of the code that is named beside each rule, rounded as that code rounds: float32 steps where
TensorFlow computes in float32, 22-bit fixed point where Pillow does. Standard library alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from math import ceil, floor

from effnet_core.errors import InvalidSpec
from effnet_core.preprocessing import Resampling

PRECISION_BITS = 22
"""Of Pillow's fixed-point weights; a weight of 1 is 2 ** PRECISION_BITS.

Source: Pillow 13, src/libImaging/Resample.c (32 - 8 - 2)."""
MAX_LENGTH = 65_535
"""Of a row or column of an image in pixels: the longest that a JPEG has."""
_MAX_RESIZED = 1 << 24
"""Of a row or column after resizing; up to here float32 holds every whole number."""
_TABLE = 1024
"""Steps of TensorFlow's table of bicubic weights.

Source: tensorflow/core/kernels/image/resize_bicubic_op.cc."""


class Arithmetic(StrEnum):
    """How the weighted pixels of one axis are added up."""

    SUM = "sum"
    """float32, from the first tap to the last."""
    BETWEEN = "between"
    """float32, two taps a and b: a + (b - a) * weight of b."""
    FIXED_POINT = "fixed-point"
    """Whole numbers: (sum + 2 ** 21) >> 22, cut to 0..255: 8 bits after each axis."""


_ARITHMETIC = {
    Resampling.LEGACY_BICUBIC: Arithmetic.SUM,
    Resampling.HALF_PIXEL_BICUBIC: Arithmetic.SUM,
    Resampling.LEGACY_BILINEAR: Arithmetic.BETWEEN,
    Resampling.HALF_PIXEL_BILINEAR: Arithmetic.BETWEEN,
    Resampling.PILLOW_BICUBIC: Arithmetic.FIXED_POINT,
    Resampling.PILLOW_BILINEAR: Arithmetic.FIXED_POINT,
    Resampling.PILLOW_NEAREST: Arithmetic.FIXED_POINT,
}


def arithmetic(resampling: Resampling) -> Arithmetic:
    """How that resampling adds up."""
    return _ARITHMETIC[resampling]


def rows_come_first(resampling: Resampling, *, before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether the rows are resized before the columns; `before` and `after` are (height, width) in pixels.

    Sources: the kernels named below. Pillow from 13 on (pull request 9549) begins with the axis that leaves less to do:
    with the rows where these lose more than twice as many pixels as the columns. Before, it began with the columns; the
    rounding in between makes the difference.
    """
    match _ARITHMETIC[resampling]:
        case Arithmetic.SUM:
            return True
        case Arithmetic.BETWEEN:
            return False
        case Arithmetic.FIXED_POINT:
            lost_rows, lost_columns = (old - new for old, new in zip(before, after, strict=True))
            return lost_rows > max(2 * lost_columns, 0)


@dataclass(frozen=True, kw_only=True)
class Taps:
    """One axis of a resized image: for each of its pixels, the pixels of the source and their weights.

    All rows have the same number of taps; where fewer count, the others have the weight 0.
    """

    indices: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    """float32 values, or whole numbers in units of 2 ** -PRECISION_BITS (`Arithmetic.FIXED_POINT`)."""


def taps(resampling: Resampling, *, length: int, resized: int, first: int = 0, count: int | None = None) -> Taps:
    """The taps for `count` pixels from `first` on, by default all, of a row or column that is resized from `length` to
    `resized` pixels.

    Raises `InvalidSpec` for a length that is not in 1..MAX_LENGTH, and where it would become too long.
    """
    if not 1 <= length <= MAX_LENGTH:
        raise InvalidSpec(f"An image has a side of {length} pixels; expected 1 to {MAX_LENGTH}.")
    if not 1 <= resized <= _MAX_RESIZED:
        raise InvalidSpec(f"A side of {length} pixels would be resized to {resized}; expected 1 to {_MAX_RESIZED}.")
    indices = range(first, resized if count is None else first + count)
    rows = list(_RULES[resampling](length, resized, indices))
    return Taps(indices=tuple(tuple(row[0]) for row in rows), weights=tuple(tuple(row[1]) for row in rows))


_Row = tuple[list[int], list[float]]


def _float32(value: float) -> float:
    """Rounded to float32: one step of float32 arithmetic, since float64 holds the exact result of each step."""
    return struct.unpack("f", struct.pack("f", value))[0]


def _source(index: int, scale: float, *, half_pixel: bool) -> float:
    """The place in the source of a pixel of the result, in float32 steps.

    Source: tensorflow/core/util/image_resizer_state.h, LegacyScaler and HalfPixelScaler.
    """
    if not half_pixel:
        return _float32(index * scale)
    return _float32(_float32(_float32(index + 0.5) * scale) - 0.5)


def _tensorflow_bilinear(length: int, resized: int, wanted: range, *, half_pixel: bool) -> list[_Row]:
    """Source: tensorflow/core/kernels/image/resize_bilinear_op.cc, compute_interpolation_weights."""
    scale = _float32(length / resized)
    rows: list[_Row] = []
    for index in wanted:
        place = _source(index, scale, half_pixel=half_pixel)
        low = floor(place)
        share = _float32(place - low)
        rows.append(([max(low, 0), min(ceil(place), length - 1)], [_float32(1 - share), share]))
    return rows


def _bicubic_table(a: float) -> tuple[list[float], list[float]]:
    """Weights at distances 0..1 and 1..2 in steps of 1/1024, rounded to float32."""
    near: list[float] = []
    far: list[float] = []
    for step in range(_TABLE + 1):
        x = step / _TABLE
        near.append(_float32(((a + 2) * x - (a + 3)) * x * x + 1))
        x += 1
        far.append(_float32(((a * x - 5 * a) * x + 8 * a) * x - 4 * a))
    return near, far


def _tensorflow_bicubic(length: int, resized: int, wanted: range, *, half_pixel: bool) -> list[_Row]:
    """Source: tensorflow/core/kernels/image/resize_bicubic_op.cc, GetWeightsAndIndices.

    Taps beyond the ends are the end pixels; with half pixels these have the weight 0, and the others sum to 1.
    """
    scale = _float32(length / resized)
    near, far = _bicubic_table(-0.5 if half_pixel else -0.75)
    rows: list[_Row] = []
    for index in wanted:
        place = _source(index, scale, half_pixel=half_pixel)
        low = floor(place)
        step = round(_float32(_float32(place - low) * _TABLE))
        weights = [far[step], near[step], near[_TABLE - step], far[_TABLE - step]]
        places = [low - 1, low, low + 1, low + 2]
        indices = [min(max(one, 0), length - 1) for one in places]
        if half_pixel:
            weights = [
                weight if one == other else 0.0 for weight, one, other in zip(weights, indices, places, strict=True)
            ]
            weights = _summing_to_one(weights)
        rows.append((indices, weights))
    return rows


def _summing_to_one(weights: list[float]) -> list[float]:
    total = 0.0
    for weight in weights:
        total = _float32(total + weight)
    inverse = _float32(1 / total)
    return [_float32(weight * inverse) for weight in weights]


def _pillow(length: int, resized: int, wanted: range, *, support: float, weigh: Callable[[float], float]) -> list[_Row]:
    """Source: Pillow 13, src/libImaging/Resample.c, precompute_coeffs and normalize_coeffs_8bpc."""
    scale = length / resized
    stretch = max(scale, 1.0)
    reach = support * stretch
    count = min(ceil(reach) * 2 + 1, length)
    inverse = 1 / stretch
    rows: list[_Row] = []
    for index in wanted:
        centre = (index + 0.5) * scale
        first = max(int(centre - reach + 0.5), 0)
        last = min(int(centre + reach + 0.5), length)
        weights = [weigh((place - centre + 0.5) * inverse) for place in range(first, last)]
        total = 0.0
        for weight in weights:
            total += weight
        fixed = [float(_fixed(weight / total if total else weight)) for weight in weights]
        padding = count - len(fixed)
        rows.append(([*range(first, last), *[last - 1] * padding], fixed + [0.0] * padding))
    return rows


def _fixed(weight: float) -> int:
    return int((-0.5 if weight < 0 else 0.5) + weight * (1 << PRECISION_BITS))


def _pillow_bicubic(x: float) -> float:
    a, x = -0.5, abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def _pillow_bilinear(x: float) -> float:
    return max(1 - abs(x), 0.0)


def _pillow_nearest(length: int, resized: int, wanted: range) -> list[_Row]:
    """Source: Pillow 13, src/libImaging/Geometry.c, ImagingScaleAffine: places are added up in float64."""
    scale = length / resized
    place = scale * 0.5
    rows: list[_Row] = []
    for index in range(wanted.stop):
        if index in wanted:
            rows.append(([min(int(place), length - 1)], [float(1 << PRECISION_BITS)]))
        place += scale
    return rows


_RULES: dict[Resampling, Callable[[int, int, range], list[_Row]]] = {
    Resampling.LEGACY_BICUBIC: partial(_tensorflow_bicubic, half_pixel=False),
    Resampling.LEGACY_BILINEAR: partial(_tensorflow_bilinear, half_pixel=False),
    Resampling.HALF_PIXEL_BICUBIC: partial(_tensorflow_bicubic, half_pixel=True),
    Resampling.HALF_PIXEL_BILINEAR: partial(_tensorflow_bilinear, half_pixel=True),
    Resampling.PILLOW_BICUBIC: partial(_pillow, support=2, weigh=_pillow_bicubic),
    Resampling.PILLOW_BILINEAR: partial(_pillow, support=1, weigh=_pillow_bilinear),
    Resampling.PILLOW_NEAREST: _pillow_nearest,
}
