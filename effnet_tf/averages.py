"""Moving averages of every variable, as the published networks were evaluated with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet_core import MovingAverage, NetworkSpec, check_state, parameters
from effnet_tf._keras import Model, Variable, keras
from effnet_tf.weights import assignable, named_variables


class MovingAverages:
    """Shadows of a network's trained tensors and moving statistics, which start with the present values.

    After each step of the optimiser call `update` with the number of steps made. To evaluate with them:
    `load_state(copy_of_the_model, spec, averages.read())`. The averages of keras.optimizers.Optimizer(use_ema=True)
    leave the moving statistics out and have no warm-up.

    Source: `effnet_core.MovingAverage`.
    """

    def __init__(self, model: Model, spec: NetworkSpec, rule: MovingAverage) -> None:
        """Raises `CheckpointMismatch` when the model is not the network of `spec`."""
        self._rule = rule
        self._spec = spec
        self._variables = named_variables(model, spec)
        self._shadows: dict[str, Variable] = {
            name: keras.Variable(np.array(variable.numpy()), dtype=variable.dtype, trainable=False)
            for name, variable in self._variables.items()
        }

    def update(self, steps: int) -> None:
        """Follow the variables, where `steps` steps of training have been made, the last one included."""
        self.follow(1 - self._rule.decay_at(steps))

    def follow(self, part: Any) -> None:
        """Go this part of the way to the variables; a number or a scalar tensor."""
        for name, shadow in self._shadows.items():
            value: Any = shadow
            way = (value - self._variables[name]) * keras.ops.cast(part, shadow.dtype)
            shadow.assign(value - way)

    def read(self) -> dict[str, NDArray[Any]]:
        """The shadows as a canonical state."""
        return {name: np.array(shadow.numpy()) for name, shadow in self._shadows.items()}

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from these shadows. Raises `CheckpointMismatch` before anything is changed."""
        kept = [parameter for parameter in parameters(self._spec) if parameter.name in self._shadows]
        shapes = {name: np.shape(array) for name, array in state.items()}
        check_state(kept, shapes, subject="The moving averages", network=self._spec.name)
        for name, shadow in self._shadows.items():
            shadow.assign(assignable(state[name]))
