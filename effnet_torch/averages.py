"""Moving averages of every variable, as the published networks were evaluated with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from effnet_core import MovingAverage, NetworkSpec, check_state
from effnet_torch.weights import named_tensors, to_canonical, to_torch


class MovingAverages:
    """Shadows of a network's trained tensors and moving statistics, which start with the present values.

    After each step of the optimiser call `update` with the number of steps made. To evaluate with them:
    `load_state(copy_of_the_model, spec, averages.read())`.

    Source: `effnet_core.MovingAverage`.
    """

    def __init__(self, model: nn.Module, spec: NetworkSpec, rule: MovingAverage) -> None:
        """Raises `CheckpointMismatch` when the model is not the network of `spec`."""
        self._rule = rule
        self._spec = spec
        self._tensors = named_tensors(model, spec)
        self._shadows: list[Tensor] = [tensor.detach().clone() for _, tensor in self._tensors]

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Follow the variables, where `steps` steps of training have been made, the last one included."""
        part = 1 - self._rule.decay_at(steps)
        for (_, tensor), shadow in zip(self._tensors, self._shadows, strict=True):
            shadow.sub_((shadow - tensor) * part)

    def read(self) -> dict[str, NDArray[Any]]:
        """The shadows as a canonical state."""
        pairs = zip(self._tensors, self._shadows, strict=True)
        return {parameter.name: to_canonical(parameter, shadow) for (parameter, _), shadow in pairs}

    @torch.no_grad()
    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from these shadows. Raises `CheckpointMismatch` before anything is changed."""
        parameters = [parameter for parameter, _ in self._tensors]
        shapes = {name: array.shape for name, array in state.items()}
        check_state(parameters, shapes, subject="The moving averages", network=self._spec.name)
        for parameter, shadow in zip(parameters, self._shadows, strict=True):
            shadow.copy_(to_torch(parameter, state[parameter.name]))
