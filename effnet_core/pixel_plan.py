"""From a preprocessing and the size of an image to what has to be computed: a value that every backend executes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from effnet_core.errors import InvalidSpec
from effnet_core.preprocessing import CentreCrop, Offset, Preprocessing, ShorterSide
from effnet_core.taps import Arithmetic, Taps, arithmetic, rows_come_first, taps


@dataclass(frozen=True, kw_only=True)
class Box:
    """A part of an image, in pixels from its top left corner."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What makes the network's square input (S, S, 3) of an image (height, width, 3) of 8 bits.

    The box is cut out, resized by the taps, clipped where `clips` says so, and normalised, float32 throughout:
    (pixel - mean) / scale.
    """

    box: Box
    rows: Taps
    """Of the height of the box; a row of taps for each row of the result."""
    columns: Taps
    arithmetic: Arithmetic
    rows_first: bool
    """Whether the height is resized before the width."""
    clips: bool
    mean: tuple[float, ...]
    scale: tuple[float, ...]


_KEPT_UP_TO = 4096
"""Pixels a side. The plans of larger images are not kept: they are long, and such images are rarely alike."""


def plan(preprocessing: Preprocessing, *, height: int, width: int) -> Plan:
    """The plan for an image of that size, in pixels; the last ones are kept.

    Raises `InvalidSpec` for sides that are not in 1..`taps.MAX_LENGTH`, and for a preprocessing that cannot be done.
    """
    make = _kept if max(height, width) <= _KEPT_UP_TO else _made
    return make(preprocessing, height, width)


def _made(preprocessing: Preprocessing, height: int, width: int) -> Plan:
    resolution, resampling, crop = preprocessing.resolution, preprocessing.resampling, preprocessing.crop
    if height < 1 or width < 1 or resolution < 1:
        raise InvalidSpec(f"{height} x {width} pixels cannot become {resolution} x {resolution}; expected at least 1.")
    resized, start = (resolution, resolution), (0, 0)
    if isinstance(crop, ShorterSide):
        resized, start = _shorter_side(crop, resolution, height=height, width=width)
    box = _centre(crop, resolution, height, width) if isinstance(crop, CentreCrop) else whole(height, width)
    return Plan(
        box=box,
        rows=taps(resampling, length=box.height, resized=resized[0], first=start[0], count=resolution),
        columns=taps(resampling, length=box.width, resized=resized[1], first=start[1], count=resolution),
        arithmetic=arithmetic(resampling),
        rows_first=rows_come_first(resampling, before=(box.height, box.width), after=resized),
        clips=preprocessing.clips,
        mean=preprocessing.mean,
        scale=preprocessing.scale,
    )


_kept = lru_cache(maxsize=32)(_made)


def whole(height: int, width: int) -> Box:
    """All of an image."""
    return Box(top=0, left=0, height=height, width=width)


def crop_side(crop: CentreCrop, resolution: int, *, shorter: int) -> int:
    """Side of the central crop of an image with that shorter side; at least one pixel, where the official code fails.

    The official code multiplies in float32 and cuts the product.
    """
    share = _float32(resolution / (resolution + crop.padding))
    return max(1, int(_float32(share * _float32(shorter))))


def _float32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def _centre(crop: CentreCrop, resolution: int, height: int, width: int) -> Box:
    side = crop_side(crop, resolution, shorter=min(height, width))
    more = 1 if crop.offset is Offset.CEILING else 0
    return Box(top=(height - side + more) // 2, left=(width - side + more) // 2, height=side, width=side)


def _shorter_side(
    crop: ShorterSide, resolution: int, *, height: int, width: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width of the resized image, and where the central square begins in it.

    Source: torchvision 0.29, transforms/functional.py, _compute_resized_output_size and center_crop.
    """
    if crop.side < resolution:
        raise InvalidSpec(f"A square of {resolution} pixels cannot be cut out of an image with a side of {crop.side}.")
    other = int(crop.side * max(height, width) / min(height, width))
    rows, columns = (crop.side, other) if height <= width else (other, crop.side)
    # round() takes the even neighbour of a half, as torchvision does.
    return (rows, columns), (round((rows - resolution) / 2), round((columns - resolution) / 2))
