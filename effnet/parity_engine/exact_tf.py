"""A network of `effnet_tf` on a grid: the functional model is called again on a new input, with a layer behind each
of its own that hands the result to a `Trace`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from effnet.backends import Array, Network
from effnet.parity_engine.trace import Trace
from effnet_core import NetworkSpec

_RENAMED = (".multiply", ".add")
"""Layers whose result is that of the part, or the block, that they end."""


class KerasModel:
    """The model that `effnet_tf.create_model` builds, in float64."""

    def __init__(self, network: Network, *, endpoints: Sequence[str]) -> None:
        from effnet_tf import create_model

        self._spec = network.spec
        self._model: Any = create_model(network.spec, network.state, endpoints=endpoints, dtype="float64")

    def state(self) -> dict[str, Array]:
        """What the model holds, canonically."""
        from effnet_tf import read_state

        return read_state(self._model, self._spec)

    def load(self, state: Mapping[str, Array]) -> None:
        """Put a canonical state into it."""
        from effnet_tf import load_state

        load_state(self._model, self._spec, state)

    def run(self, batch: Array, trace: Trace) -> None:
        """Forward a batch (N, H, W, C), in training mode where the trace is of training."""
        outputs = _watched(self._model, trace)(batch, training=trace.training)
        # A block without residual has no layer of its own.
        trace.values |= {name: np.asarray(value) for name, value in outputs.items() if name not in trace.values}

    def updated(self, reference: NetworkSpec, before: Mapping[str, Array], trace: Trace) -> dict[str, Array]:
        """The moving statistics after training."""
        return self.state()


def _watched(model: Any, trace: Trace) -> Any:
    """The same layers with the same variables, and what they give handed to the trace, eagerly."""
    from effnet_tf._keras import BaseLayer, deep_graphs

    keras: Any = import_module("keras")

    class Watcher(BaseLayer):
        """Takes the inputs of a layer and, last, what it gave."""

        def __init__(self, layer: Any, name: str) -> None:
            super().__init__(name=f"watched.{name}", dtype="float64", trainable=False)
            self._watched_layer, self._watched_name = [layer], name  # in a list, so that it is not tracked twice

        def call(self, values: list[Any]) -> Any:
            arrays = [np.asarray(value) for value in values]
            layer = self._watched_layer[0]
            return keras.ops.convert_to_tensor(
                trace.layer(
                    self._watched_name,
                    arrays[:-1],
                    arrays[-1],
                    lambda first: np.asarray(layer(keras.ops.convert_to_tensor(first), training=True)),
                )
            )

        def compute_output_spec(self, values: list[Any]) -> Any:
            return keras.KerasTensor(values[-1].shape, dtype=values[-1].dtype)

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        output, name = layer(*inputs, **options), _canonical(layer.name)
        if name not in trace:
            return output
        watcher: Any = Watcher(layer, name)
        return watcher([*keras.tree.flatten(inputs), output])

    def same(layer: Any) -> Any:
        return layer

    with deep_graphs():
        return keras.models.clone_model(model, clone_function=same, call_function=call)


def _canonical(name: str) -> str:
    for ending in _RENAMED:
        name = name.removesuffix(ending)
    return "logits" if name == "classifier" else name
