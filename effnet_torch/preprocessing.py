"""Decoded images as a network's input, in torch on the device where the image is: executes `effnet_core.plan`.

Shapes: H, W of the image, S x S of the input, C = 3. Images are decoded on the CPU, by `effnet.images.decode`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from effnet_core import Arithmetic, InvalidSpec, Plan, Preprocessing, Taps, plan
from effnet_core.taps import PRECISION_BITS

_BLOCK = 16
"""Pixels of the result that one product of matrices computes."""


def prepare(image_HWC: Tensor, preprocessing: Preprocessing) -> Tensor:
    """One decoded image (H, W, 3) of 8 bits as normalised input (3, S, S), S = `preprocessing.resolution`, on its
    device.

    Raises `InvalidSpec` for an image of another shape or type, or one whose sides no plan takes.
    """
    if image_HWC.ndim != 3 or image_HWC.shape[-1] != 3 or image_HWC.dtype != torch.uint8:
        raise InvalidSpec(
            f"The image has the shape {tuple(image_HWC.shape)} and the type {image_HWC.dtype}; expected (height, "
            "width, 3), torch.uint8."
        )
    height, width, _ = image_HWC.shape
    made = plan(preprocessing, height=height, width=width)
    pixels_SSC = resized(image_HWC, made)
    if made.clips:
        pixels_SSC = pixels_SSC.clamp(0, 255)
    mean, scale = (torch.tensor(numbers, device=image_HWC.device) for numbers in (made.mean, made.scale))
    return ((pixels_SSC - mean) / scale).permute(2, 0, 1).contiguous()  # (S, S, C) -> (C, S, S)


def resized(image_HWC: Tensor, made: Plan) -> Tensor:
    """The part of an image (H, W, 3) that the plan cuts out, resized to (S, S, 3); not clipped, not normalised."""
    box = made.box
    part = image_HWC[box.top : box.top + box.height, box.left : box.left + box.width]
    resize_axis = _AXES[made.arithmetic]
    for axis in (0, 1) if made.rows_first else (1, 0):
        part = resize_axis(part, made.columns if axis else made.rows, axis=axis)
    return part.float()


def _taken(image: Tensor, taps: Taps, tap: int, axis: int) -> Tensor:
    indices = torch.tensor([row[tap] for row in taps.indices], device=image.device)
    return image.index_select(axis, indices).float()


def _weights(image: Tensor, taps: Taps, tap: int, axis: int) -> Tensor:
    weights = torch.tensor([row[tap] for row in taps.weights], dtype=torch.float32, device=image.device)
    return weights.reshape([-1 if other == axis else 1 for other in range(3)])


def _summed(image: Tensor, taps: Taps, *, axis: int) -> Tensor:
    """float32, from the first tap to the last."""
    total = _taken(image, taps, 0, axis) * _weights(image, taps, 0, axis)
    for tap in range(1, len(taps.indices[0])):
        total = total + _taken(image, taps, tap, axis) * _weights(image, taps, tap, axis)
    return total


def _between(image: Tensor, taps: Taps, *, axis: int) -> Tensor:
    """float32, two taps a and b: a + (b - a) * weight of b."""
    first = _taken(image, taps, 0, axis)
    return first + (_taken(image, taps, 1, axis) - first) * _weights(image, taps, 1, axis)


def _rounded(image: Tensor, taps: Taps, *, axis: int) -> Tensor:
    """Fixed point, rounded to 8 bits. float64 holds every sum exactly, in whatever order it is added up."""
    source = image.movedim(axis, 0)
    parts: list[Tensor] = []
    for start in range(0, len(taps.indices), _BLOCK):
        indices = torch.tensor(taps.indices[start : start + _BLOCK], device=image.device)
        weights = torch.tensor(taps.weights[start : start + _BLOCK], dtype=torch.float64, device=image.device)
        first, last = int(indices.min()), int(indices.max()) + 1
        matrix = torch.zeros((len(indices), last - first), dtype=torch.float64, device=image.device)
        matrix.scatter_add_(1, indices - first, weights)
        sums = matrix @ source[first:last].reshape(last - first, -1).double()
        values = ((sums + (1 << PRECISION_BITS - 1)) / (1 << PRECISION_BITS)).floor().clamp(0, 255)
        parts.append(values.to(torch.uint8).reshape(-1, *source.shape[1:]))
    return torch.cat(parts).movedim(0, axis)


_AXES: dict[Arithmetic, Callable[..., Tensor]] = {
    Arithmetic.SUM: _summed,
    Arithmetic.BETWEEN: _between,
    Arithmetic.FIXED_POINT: _rounded,
}
"""Resizes one axis, 0 or 1, of an image (H, W, 3)."""
