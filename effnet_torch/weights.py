"""Canonical state -> model, model -> canonical state, and fresh values.

The canonical state maps `effnet_core.parameters` names to arrays in TensorFlow's layouts. Which tensor of the model a
name means follows from its layer and its role; how it is laid out follows from its role alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from effnet_core import (
    Constant,
    NetworkSpec,
    Normal,
    Parameter,
    Role,
    Uniform,
    check_state,
    initializer,
    parameters,
)

_LEAVES: Mapping[Role, str] = {
    Role.CONV: "weight",
    Role.DEPTHWISE: "weight",
    Role.DENSE: "weight",
    Role.ROUTING: "weight",
    Role.EXPERTS: "weight",
    Role.DEPTHWISE_EXPERTS: "weight",
    Role.BIAS: "bias",
    Role.GAMMA: "weight",
    Role.BETA: "bias",
    Role.MEAN: "running_mean",
    Role.VARIANCE: "running_var",
}
_TO_TORCH: Mapping[Role, tuple[int, ...]] = {
    Role.CONV: (3, 2, 0, 1),  # (height, width, in, out) -> (out, in, height, width)
    Role.DEPTHWISE: (2, 3, 0, 1),  # (height, width, channels, 1) -> (channels, 1, height, width)
    Role.DENSE: (1, 0),  # (in, out) -> (out, in)
    Role.ROUTING: (1, 0),  # (in, experts) -> (experts, in)
    # Of each row, which is the kernel of one expert, before it is flattened.
    Role.EXPERTS: (3, 2, 0, 1),
    Role.DEPTHWISE_EXPERTS: (2, 3, 0, 1),
}
_BATCHES = "num_batches_tracked"
"""torch's counter of training steps in every normalisation; it has no counterpart and no effect on the result."""


def load_state(model: nn.Module, spec: NetworkSpec, state: Mapping[str, NDArray[Any]]) -> None:
    """Copy a canonical state into the model, cast to the model's dtype.

    A model without its classifier accepts a state with or without one. Raises `CheckpointMismatch`, with every
    missing, unexpected and misshapen tensor, before anything is changed.
    """
    targets = named_tensors(model, spec)
    used = {name: array for name, array in state.items() if name not in _absent(model, spec)}
    shapes = {name: array.shape for name, array in used.items()}
    check_state([parameter for parameter, _ in targets], shapes, subject="The state", network=spec.name)
    with torch.no_grad():
        for parameter, tensor in targets:
            tensor.copy_(to_torch(parameter, used[parameter.name]))
        _reset_counters(model)


def read_state(model: nn.Module, spec: NetworkSpec) -> dict[str, NDArray[Any]]:
    """The model's tensors under their canonical names: copies in TensorFlow's layouts, in forward order.

    The arrays have the model's dtype, except that bfloat16, which numpy does not have, is widened to float32. Raises
    `CheckpointMismatch` when the model is not the network of `spec`.
    """
    return {parameter.name: to_canonical(parameter, tensor) for parameter, tensor in named_tensors(model, spec)}


def initialize(model: nn.Module, spec: NetworkSpec, *, seed: int | None = None) -> None:
    """Fill every tensor as `effnet_core.initializer` says.

    The values depend on the seed, not on dtype or device; None draws from PyTorch's global generator, and only None
    touches that.
    """
    generator = torch.default_generator if seed is None else torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter, tensor in named_tensors(model, spec):
            values = torch.empty(tensor.shape, dtype=torch.float32)
            match initializer(parameter):
                case Normal(stddev=stddev):
                    values.normal_(0.0, stddev, generator=generator)
                case Uniform(limit=limit):
                    values.uniform_(-limit, limit, generator=generator)
                case Constant(value=value):
                    values.fill_(value)
            tensor.copy_(values)
        _reset_counters(model)


def named_tensors(model: nn.Module, spec: NetworkSpec) -> list[tuple[Parameter, Tensor]]:
    """Every tensor that model and definition share, in forward order; the model may lack hidden layers and classifier.

    Raises `CheckpointMismatch` when they differ otherwise.
    """
    tensors = dict(_tensors(model))
    absent = _absent(model, spec)
    wanted = {_path(parameter): parameter for parameter in parameters(spec) if parameter.name not in absent}
    shapes = {
        wanted[path].name if path in wanted else path: _canonical_shape(wanted.get(path), tensor)
        for path, tensor in tensors.items()
    }
    check_state(wanted.values(), shapes, subject="The model", network=spec.name)
    return [(parameter, tensors[path]) for path, parameter in wanted.items()]


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from ((name, tensor) for name, tensor in model.named_buffers() if not name.endswith(_BATCHES))


def _absent(model: nn.Module, spec: NetworkSpec) -> frozenset[str]:
    """Canonical names of the tensors of hidden layers and classifier where the model was built without them."""
    if any(name == "classifier" for name, _ in model.named_children()):
        return frozenset()
    return frozenset(parameter.name for parameter in parameters(spec) if parameter.part in ("hidden", "classifier"))


def _path(parameter: Parameter) -> str:
    return f"{parameter.layer}.{_LEAVES[parameter.role]}"


def _canonical_shape(parameter: Parameter | None, tensor: Tensor) -> tuple[int, ...]:
    shape = tuple(tensor.shape)
    axes = None if parameter is None or parameter.expert_shape is not None else _TO_TORCH.get(parameter.role)
    return shape if axes is None or len(axes) != len(shape) else tuple(shape[axis] for axis in _inverse(axes))


def to_torch(parameter: Parameter, array: NDArray[Any]) -> Tensor:
    """The tensor in torch's layout that holds a canonical array: a copy in float32, or in float64."""
    axes = _TO_TORCH.get(parameter.role)
    if parameter.expert_shape is not None and axes is not None:
        kernels = array.reshape(-1, *parameter.expert_shape)
        view = kernels.transpose(0, *(axis + 1 for axis in axes)).reshape(array.shape)
    else:
        view = array if axes is None else array.transpose(axes)
    # A copy in a type that torch knows: no bfloat16 of another library, no foreign byte order, no read-only memory.
    return torch.as_tensor(np.array(view, dtype=np.float64 if array.dtype.itemsize >= 8 else np.float32, order="C"))


def to_canonical(parameter: Parameter, tensor: Tensor) -> NDArray[Any]:
    """The canonical array that a tensor in torch's layout holds: a copy; bfloat16 is widened to float32."""
    axes = _TO_TORCH.get(parameter.role)
    values = tensor.detach().cpu()
    array: NDArray[Any] = (values.float() if values.dtype is torch.bfloat16 else values).numpy()
    if parameter.expert_shape is not None and axes is not None:
        kernels = array.reshape(-1, *(parameter.expert_shape[axis] for axis in axes))
        array = kernels.transpose(0, *(axis + 1 for axis in _inverse(axes))).reshape(array.shape)
    elif axes is not None:
        array = array.transpose(_inverse(axes))
    return np.array(array, order="C")


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that takes the axes back."""
    return tuple(axes.index(axis) for axis in range(len(axes)))


def _reset_counters(model: nn.Module) -> None:
    for name, tensor in model.named_buffers():
        if name.endswith(_BATCHES):
            tensor.zero_()
