"""Conditional convolutions: every image of a batch has kernels of its own, mixed from several experts' kernels.

kernel(image) = sum over experts of mixture(image, expert) * kernel(expert). Keras has no such layer built in, so these
two are registered as `effnet>CondPointwiseConv2D` and `effnet>CondDepthwiseConv2D`: a saved model that holds them opens
where `effnet_tf` has been imported. The batch may have any size.

Shapes: N images, E experts, C channels, H rows, W columns, K elements of a kernel.

Source: Yang et al., CondConv: Conditionally Parameterized Convolutions for Efficient Inference (2019), section 3.
"""

from __future__ import annotations

from typing import Any

from effnet_tf._keras import BaseLayer, Tensor, keras


@keras.saving.register_keras_serializable(package="effnet")
class CondPointwiseConv2D(BaseLayer):
    """A 1x1 convolution, one kernel for each image; `kernel` is (E, in * out), `bias`, if any, the same for all."""

    def __init__(
        self,
        *,
        filters: int,
        num_experts: int,
        use_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.filters = filters
        self.num_experts = num_experts
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, x_shape: tuple[int | None, ...], mixture_shape: tuple[int | None, ...]) -> None:
        """Make the kernel for inputs (N, H, W, C) and (N, E)."""
        shape = (self.num_experts, (x_shape[3] or 0) * self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x: Tensor, mixture: Tensor) -> Tensor:
        """(N, H, W, C) and (N, E) -> (N, H, W, filters)."""
        ops = keras.ops
        _, height, width, channels = ops.shape(x)
        kernels = ops.reshape(ops.matmul(mixture, self.kernel), (-1, channels, self.filters))  # (N, K) -> (N, in, out)
        pixels = ops.reshape(x, (-1, height * width, channels))  # (N, H, W, C) -> (N, H * W, C)
        x = ops.reshape(ops.matmul(pixels, kernels), (-1, height, width, self.filters))
        return x + self.bias if self.use_bias else x

    def compute_output_shape(
        self, x_shape: tuple[int | None, ...], mixture_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """(N, H, W, filters)."""
        return (*x_shape[:3], self.filters)

    def get_config(self) -> dict[str, Any]:
        """What a saved model needs to build the layer again."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {
            "filters": self.filters,
            "num_experts": self.num_experts,
            "use_bias": self.use_bias,
            "kernel_initializer": initializer,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="effnet")
class CondDepthwiseConv2D(BaseLayer):
    """A depthwise convolution, one kernel for each image; `kernel` is (E, rows * columns * C), `bias` as above.

    `padding` is `same` (TensorFlow's: the odd pixel goes after) or `valid`.
    """

    def __init__(
        self,
        *,
        kernel_size: int,
        strides: int,
        padding: str,
        num_experts: int,
        use_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.num_experts = num_experts
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, x_shape: tuple[int | None, ...], mixture_shape: tuple[int | None, ...]) -> None:
        """Make the kernel for inputs (N, H, W, C) and (N, E)."""
        shape = (self.num_experts, self.kernel_size**2 * (x_shape[3] or 0))
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape=(x_shape[3] or 0,), initializer="zeros", name="bias")

    def call(self, x: Tensor, mixture: Tensor) -> Tensor:
        """(N, H, W, C) and (N, E) -> (N, H', W', C)."""
        ops, side = keras.ops, self.kernel_size
        images, height, width, channels = ops.shape(x)
        kernels = ops.reshape(ops.matmul(mixture, self.kernel), (-1, side, side, channels))  # (N, K) -> (N, ., ., C)
        # The images side by side as the channels of one image, each channel with its own window.
        windows = ops.reshape(ops.transpose(kernels, (1, 2, 0, 3)), (side, side, images * channels, 1))
        planes = ops.reshape(ops.transpose(x, (1, 2, 0, 3)), (1, height, width, images * channels))
        planes = ops.depthwise_conv(
            planes, windows, strides=self.strides, padding=self.padding, data_format="channels_last"
        )
        _, rows, columns, _ = ops.shape(planes)
        x = ops.transpose(ops.reshape(planes, (rows, columns, images, channels)), (2, 0, 1, 3))
        return x + self.bias if self.use_bias else x

    def compute_output_shape(
        self, x_shape: tuple[int | None, ...], mixture_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """(N, H', W', C)."""
        return (x_shape[0], self._side(x_shape[1]), self._side(x_shape[2]), x_shape[3])

    def _side(self, size: int | None) -> int | None:
        if size is None:
            return None
        reached = size if self.padding == "same" else size - self.kernel_size + 1
        return -(-reached // self.strides)

    def get_config(self) -> dict[str, Any]:
        """What a saved model needs to build the layer again."""
        own = {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "num_experts": self.num_experts,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
        return {**super().get_config(), **own}
