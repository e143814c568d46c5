"""Convolution, normalisation and activation from built-in Keras layers.

A layer's name is its canonical path (`layer_name`); kernel sizes, channels and biases are those of the definition's
parameters. Tensors are (N, H, W, C).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from effnet_core import (
    Activation,
    Constant,
    NetworkSpec,
    Norm,
    Normal,
    NormMode,
    Padding,
    Parameter,
    Uniform,
    initializer,
    parameters,
)
from effnet_tf._keras import Tensor, keras, layer_name
from effnet_tf.condconv import CondDepthwiseConv2D, CondPointwiseConv2D

ACTIVATIONS = {
    Activation.SWISH: "silu",
    Activation.RELU6: "relu6",
    Activation.RELU: "relu",
    Activation.TANH: "tanh",
    Activation.SIGMOID: "sigmoid",
}
"""Keras' names, which a saved model holds."""

_CHANNELS_LAST = "channels_last"


def expert_shape(kernel: Parameter) -> tuple[int, ...]:
    """The shape of one kernel, HWIO or HWCM, also where the tensor holds several experts'."""
    return kernel.expert_shape or kernel.shape


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Makes the layers of one network: what they all share, and the parameters that they hold."""

    parameters: Mapping[str, Parameter]
    """By canonical name."""
    padding: Padding
    norm_rule: Norm | None
    """None: folded into the convolutions."""
    norm_mode: NormMode
    dtype: Any
    """A Keras dtype policy."""
    seed: int | None

    @staticmethod
    def of(spec: NetworkSpec, *, norm_mode: NormMode, dtype: Any, seed: int | None) -> Layers:
        """The layers of `spec`."""
        return Layers(
            parameters={parameter.name: parameter for parameter in parameters(spec)},
            padding=spec.padding,
            norm_rule=spec.norm,
            norm_mode=norm_mode,
            dtype=dtype,
            seed=seed,
        )

    def conv_norm(self, x: Tensor, path: str, *, stride: int = 1, activation: Activation | None) -> Tensor:
        """`path.conv` without a bias, `path.norm` and, where there is one, `path.activation`.

        Where the normalisation is folded, the convolution has a bias, and there is no `path.norm`.
        """
        x = self.norm(self.conv(x, f"{path}.conv", stride=stride), f"{path}.norm")
        return x if activation is None else self.activation(x, f"{path}.activation", ACTIVATIONS[activation])

    def depthwise_norm(self, x: Tensor, path: str, *, stride: int, activation: Activation) -> Tensor:
        """The same with a depthwise convolution."""
        x = self.norm(self.depthwise(x, f"{path}.conv", stride=stride), f"{path}.norm")
        return self.activation(x, f"{path}.activation", ACTIVATIONS[activation])

    def conv(self, x: Tensor, name: str, *, stride: int = 1) -> Tensor:
        """A convolution, with a bias where the definition has one."""
        kernel = self.parameters[f"{name}.kernel"]
        x, padding = self._padded(x, kernel)
        return keras.layers.Conv2D(
            filters=kernel.shape[3],
            kernel_size=kernel.shape[:2],
            strides=stride,
            padding=padding,
            data_format=_CHANNELS_LAST,
            use_bias=f"{name}.bias" in self.parameters,
            kernel_initializer=self._initializer(kernel),
            name=layer_name(name),
            dtype=self.dtype,
        )(x)

    def depthwise(self, x: Tensor, name: str, *, stride: int) -> Tensor:
        """A depthwise convolution, with a bias where the definition has one."""
        kernel = self.parameters[f"{name}.kernel"]
        x, padding = self._padded(x, kernel)
        return keras.layers.DepthwiseConv2D(
            kernel_size=kernel.shape[:2],
            strides=stride,
            padding=padding,
            data_format=_CHANNELS_LAST,
            use_bias=f"{name}.bias" in self.parameters,
            depthwise_initializer=self._initializer(kernel),
            name=layer_name(name),
            dtype=self.dtype,
        )(x)

    def norm(self, x: Tensor, name: str, *, rule: Norm | None = None) -> Tensor:
        """Batch normalisation, by default as in the whole network; what Keras calls momentum is the decay.

        The input itself where the network's is folded.
        """
        chosen = self.norm_rule if rule is None else rule
        if chosen is None:
            return x
        return keras.layers.BatchNormalization(
            axis=-1,
            momentum=chosen.decay,
            epsilon=chosen.epsilon,
            # Keras runs a norm that is not trainable with its moving statistics, in training too.
            trainable=self.norm_mode is not NormMode.FROZEN,
            name=layer_name(name),
            dtype=self.dtype,
        )(x)

    def dense(self, x: Tensor, name: str) -> Tensor:
        """A dense layer, computed in the type of its variables also under a mixed policy."""
        kernel = self.parameters[f"{name}.kernel"]
        return keras.layers.Dense(
            units=kernel.shape[1],
            kernel_initializer=self._initializer(kernel),
            name=layer_name(name),
            dtype=self.dtype.variable_dtype,
        )(x)

    def hidden_dense(self, x: Tensor, name: str, *, activation: Activation | None) -> Tensor:
        """A dense layer between pooling and classifier, with its activation."""
        kernel = self.parameters[f"{name}.kernel"]
        return keras.layers.Dense(
            units=kernel.shape[1],
            activation=None if activation is None else ACTIVATIONS[activation],
            use_bias=f"{name}.bias" in self.parameters,
            kernel_initializer=self._initializer(kernel),
            name=layer_name(name),
            dtype=self.dtype,
        )(x)

    def mixture(self, x: Tensor, name: str) -> Tensor:
        """How much of each expert's kernel every image takes, in (0, 1), not summing to 1: (N, H, W, C) -> (N, E)."""
        kernel = self.parameters[f"{name}.kernel"]
        x = keras.layers.Dense(
            units=kernel.shape[1], kernel_initializer=self._initializer(kernel), name=layer_name(name), dtype=self.dtype
        )(self.average(x, f"{name}.average"))
        return self.activation(x, f"{name}.sigmoid", "sigmoid")

    def cond_conv(self, x: Tensor, mixture: Tensor, name: str) -> Tensor:
        """A 1x1 convolution whose kernel is mixed for each image."""
        kernel = self.parameters[f"{name}.kernel"]
        return CondPointwiseConv2D(
            filters=expert_shape(kernel)[3],
            num_experts=kernel.shape[0],
            use_bias=f"{name}.bias" in self.parameters,
            kernel_initializer=self._initializer(kernel),
            name=layer_name(name),
            dtype=self.dtype,
        )(x, mixture)

    def cond_depthwise(self, x: Tensor, mixture: Tensor, name: str, *, stride: int) -> Tensor:
        """A depthwise convolution whose kernel is mixed for each image."""
        kernel = self.parameters[f"{name}.kernel"]
        x, padding = self._padded(x, kernel)
        return CondDepthwiseConv2D(
            kernel_size=expert_shape(kernel)[0],
            strides=stride,
            padding=padding,
            num_experts=kernel.shape[0],
            use_bias=f"{name}.bias" in self.parameters,
            kernel_initializer=self._initializer(kernel),
            name=layer_name(name),
            dtype=self.dtype,
        )(x, mixture)

    def activation(self, x: Tensor, name: str, function: str) -> Tensor:
        """A non-linearity by its Keras name."""
        return keras.layers.Activation(function, name=layer_name(name), dtype=self.dtype)(x)

    def average(self, x: Tensor, name: str, *, keepdims: bool = False) -> Tensor:
        """The mean over height and width: (N, C), or (N, 1, 1, C) with `keepdims`."""
        return keras.layers.GlobalAveragePooling2D(
            data_format=_CHANNELS_LAST, keepdims=keepdims, name=layer_name(name), dtype=self.dtype
        )(x)

    def maximum(self, x: Tensor, name: str) -> Tensor:
        """The largest value over height and width: (N, C)."""
        return keras.layers.GlobalMaxPooling2D(data_format=_CHANNELS_LAST, name=layer_name(name), dtype=self.dtype)(x)

    def multiply(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        """The product, sizes of 1 repeated."""
        return keras.layers.Multiply(name=layer_name(name), dtype=self.dtype)([x, y])

    def add(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        """The sum."""
        return keras.layers.Add(name=layer_name(name), dtype=self.dtype)([x, y])

    def dropout(self, x: Tensor, name: str, *, rate: float) -> Tensor:
        """Zero single values in training with probability `rate` and divide the rest by 1 - rate."""
        return keras.layers.Dropout(rate, seed=self._seed(name), name=layer_name(name), dtype=self.dtype)(x)

    def drop_connect(self, x: Tensor, name: str, *, rate: float) -> Tensor:
        """Zero whole samples in training with probability `rate` and divide the rest by 1 - rate.

        Source: Huang et al., Deep Networks with Stochastic Depth (2016); utils.drop_connect of the official code.
        """
        shape = (None, 1, 1, 1)  # one draw a sample
        return keras.layers.Dropout(
            rate, noise_shape=shape, seed=self._seed(name), name=layer_name(name), dtype=self.dtype
        )(x)

    def _padded(self, x: Tensor, kernel: Parameter) -> tuple[Tensor, str]:
        """The input of a convolution and Keras' word for the padding that is left to do."""
        if self.padding is Padding.SAME:
            return x, "same"
        amount = (expert_shape(kernel)[0] - 1) // 2
        if amount:
            name = layer_name(f"{kernel.layer}.padding")
            x = keras.layers.ZeroPadding2D(amount, data_format=_CHANNELS_LAST, name=name, dtype=self.dtype)(x)
        return x, "valid"

    def _initializer(self, parameter: Parameter) -> Any:
        """Of a kernel; biases and normalisations start at Keras' own zeros and ones, which are the definition's."""
        seed = self._seed(parameter.name)
        match initializer(parameter):
            case Normal(stddev=stddev):
                return keras.initializers.RandomNormal(stddev=stddev, seed=seed)
            case Uniform(limit=limit):
                return keras.initializers.RandomUniform(minval=-limit, maxval=limit, seed=seed)
            case Constant(value=value):
                return keras.initializers.Constant(value)

    def _seed(self, name: str) -> int | None:
        """A seed of its own for each tensor: one for all would make tensors of the same shape equal."""
        return None if self.seed is None else Random(f"{self.seed}/{name}").getrandbits(31)
