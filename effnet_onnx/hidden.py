"""The layers between pooling and classifier, on (N, C)."""

from __future__ import annotations

from effnet_core import HiddenActivation, HiddenDense, HiddenDropout, HiddenLayer, HiddenNorm, Norm
from effnet_onnx.graph import Value
from effnet_onnx.layers import Layers


def build_hidden(layers: Layers, x: Value, path: str, layer: HiddenLayer) -> Value:
    """One hidden layer; `path` is its canonical path, `hidden.I`."""
    match layer:
        case HiddenDense():
            x = layers.dense(x, path)
            return x if layer.activation is None else layers.activation(x, f"{path}.activation", layer.activation)
        case HiddenNorm():
            return layers.norm(x, path, rule=Norm(epsilon=layer.epsilon, decay=layer.decay))
        case HiddenActivation():
            return layers.activation(x, f"{path}.activation", layer.activation)
        case HiddenDropout():
            return x  # acts in training only
