"""The layers between pooling and classifier, on (N, C)."""

from __future__ import annotations

from torch import Tensor, nn

from effnet_core import HiddenActivation, HiddenDense, HiddenDropout, HiddenLayer, HiddenNorm
from effnet_torch.layers import activation_layer


class DenseActivation(nn.Linear):
    """A dense layer, and the activation behind it where there is one."""

    def __init__(self, layer: HiddenDense) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  # torch does not annotate device and dtype
            layer.in_channels, layer.out_channels, bias=layer.has_bias
        )
        self.activation = None if layer.activation is None else activation_layer(layer.activation)

    def forward(self, input: Tensor) -> Tensor:
        """(N, in) -> (N, out)."""
        x = super().forward(input)
        return x if self.activation is None else self.activation(x)


def build_hidden(layer: HiddenLayer) -> nn.Module:
    """One hidden layer."""
    match layer:
        case HiddenDense():
            return DenseActivation(layer)
        case HiddenNorm():
            return nn.BatchNorm1d(layer.channels, eps=layer.epsilon, momentum=1 - layer.decay)
        case HiddenActivation():
            return activation_layer(layer.activation)
        case HiddenDropout():
            return nn.Dropout(layer.dropout_rate)
