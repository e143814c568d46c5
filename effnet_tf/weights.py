"""Canonical state into a model and out of it: names and layouts of `effnet_core.parameters`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet_core import NetworkSpec, Parameter, Role, check_state, parameters
from effnet_tf._keras import Model, Variable, layers_of, path_of

ATTRIBUTES = {
    Role.CONV: "kernel",
    Role.DEPTHWISE: "kernel",
    Role.DENSE: "kernel",
    Role.ROUTING: "kernel",
    Role.EXPERTS: "kernel",
    Role.DEPTHWISE_EXPERTS: "kernel",
    Role.BIAS: "bias",
    Role.GAMMA: "gamma",
    Role.BETA: "beta",
    Role.MEAN: "moving_mean",
    Role.VARIANCE: "moving_variance",
}
"""Where a Keras layer holds a tensor of each role; the layouts are the canonical ones."""


def load_state(model: Model, spec: NetworkSpec, state: Mapping[str, NDArray[Any]]) -> None:
    """Put a canonical state into a model of `spec`, converted to the types of its variables.

    A model without its last layers (no classifier, or endpoints inside the network) leaves their tensors unused.
    Raises `CheckpointMismatch` with every missing, unexpected and misshapen tensor, before anything is changed.
    """
    variables = named_variables(model, spec)
    all_names = {parameter.name for parameter in parameters(spec)}
    used = [parameter for parameter in parameters(spec) if parameter.name in variables]
    shapes = {name: np.shape(array) for name, array in state.items() if name in variables or name not in all_names}
    check_state(used, shapes, subject="The state", network=spec.name)
    for name, variable in variables.items():
        variable.assign(assignable(state[name]))


def read_state(model: Model, spec: NetworkSpec) -> dict[str, NDArray[Any]]:
    """The canonical state of a model of `spec`, as copies in the types of its variables, in forward order.

    Tensors of layers that the model does not have are absent. Raises `CheckpointMismatch` for a model of another
    definition.
    """
    # A copy: Keras may hand out the variable's own memory, which the next training step would change.
    return {name: np.array(variable.numpy()) for name, variable in named_variables(model, spec).items()}


def named_variables(model: Model, spec: NetworkSpec) -> dict[str, Variable]:
    """The variables of a model by canonical name, checked against the definition."""
    layers = {path_of(layer): layer for layer in layers_of(model)}
    variables: dict[str, Variable] = {}
    for parameter in parameters(spec):
        variable = getattr(layers.get(parameter.layer), ATTRIBUTES[parameter.role], None)
        if variable is not None:
            variables[parameter.name] = variable
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    known = {id(variable) for variable in variables.values()}
    others = [variable for layer in layers.values() for variable in layer.weights if id(variable) not in known]
    shapes |= {variable.path: tuple(variable.shape) for variable in others}
    check_state(_beginning(spec, variables), shapes, subject="The model", network=spec.name)
    return variables


def _beginning(spec: NetworkSpec, variables: Mapping[str, Variable]) -> list[Parameter]:
    """The parameters up to the last one that the model has: a model may end early, but not have holes."""
    listed = list(parameters(spec))
    last = max((index for index, parameter in enumerate(listed) if parameter.name in variables), default=len(listed))
    return listed[: last + 1]


def assignable(array: NDArray[Any]) -> NDArray[Any]:
    """The array in a type that every Keras backend takes: bfloat16 of ml_dtypes goes through float32, exactly."""
    array = np.asarray(array)
    return array if array.dtype.kind in "fiu" else array.astype(np.float32)
