"""The layers between pooling and classifier, on (N, C)."""

from __future__ import annotations

from effnet_core import HiddenActivation, HiddenDense, HiddenDropout, HiddenLayer, HiddenNorm, Norm
from effnet_tf._keras import Tensor
from effnet_tf.layers import ACTIVATIONS, Layers


def build_hidden(layers: Layers, x: Tensor, path: str, layer: HiddenLayer) -> Tensor:
    """One hidden layer; `path` is its canonical path, `hidden.I`, and the name of the one Keras layer that it is."""
    match layer:
        case HiddenDense():
            return layers.hidden_dense(x, path, activation=layer.activation)
        case HiddenNorm():
            return layers.norm(x, path, rule=Norm(epsilon=layer.epsilon, decay=layer.decay))
        case HiddenActivation():
            return layers.activation(x, path, ACTIVATIONS[layer.activation])
        case HiddenDropout():
            return layers.dropout(x, path, rate=layer.dropout_rate)
