"""Canonical tensors in the layouts that ONNX's operators take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from effnet_core import Parameter, Role

_TO_ONNX: Mapping[Role, tuple[int, ...]] = {
    Role.CONV: (3, 2, 0, 1),  # (height, width, in, out) -> (out, in, height, width)
    Role.DEPTHWISE: (2, 3, 0, 1),  # (height, width, channels, 1) -> (channels, 1, height, width)
    # Of each row, which is the kernel of one expert; a mixture of 1x1 kernels is a matrix (out, in).
    Role.EXPERTS: (3, 2, 0, 1),
    Role.DEPTHWISE_EXPERTS: (2, 3, 0, 1),
}


def to_onnx(parameter: Parameter, array: NDArray[Any]) -> NDArray[Any]:
    """The array in ONNX's layout: a view where that is possible; experts' kernels are (experts, ...), not flattened."""
    axes = _TO_ONNX.get(parameter.role)
    if axes is None:
        return array
    if parameter.expert_shape is None:
        return array.transpose(axes)
    kernels = array.reshape(-1, *parameter.expert_shape)
    return kernels.transpose(0, *(axis + 1 for axis in axes))
