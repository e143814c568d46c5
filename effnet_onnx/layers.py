"""Convolution, normalisation and activation as ONNX operators.

A node's name begins with the canonical path of its layer. Values are (N, C, H, W) or (N, C).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from effnet_core import Activation, Norm, Padding, Parameter, output_size, padding_amounts
from effnet_onnx.graph import Array, Attribute, Graph, Value
from effnet_onnx.sums import convolve
from effnet_onnx.weights import to_onnx


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Writes the layers of one network: what they all share, and the tensors that they hold."""

    graph: Graph
    parameters: Mapping[str, Parameter]
    """By canonical name."""
    state: Mapping[str, Array]
    padding: Padding
    norm_rule: Norm | None
    """None: folded into the convolutions."""

    @property
    def is_wide(self) -> bool:
        """Whether the network computes in float64, for which ONNX Runtime lacks some operators."""
        return self.graph.dtype == np.float64

    def tensor(self, name: str) -> Array:
        """A tensor of the state, in ONNX's layout."""
        return to_onnx(self.parameters[name], self.state[name])

    def has(self, name: str) -> bool:
        """Whether the definition has a tensor of that canonical name."""
        return name in self.parameters

    def conv_norm(self, x: Value, path: str, *, stride: int = 1, activation: Activation | None) -> Value:
        """`path.conv`, `path.norm` unless it is folded, and, where there is one, `path.activation`."""
        x = self.norm(self.conv(x, f"{path}.conv", stride=stride), f"{path}.norm")
        return x if activation is None else self.activation(x, f"{path}.activation", activation)

    def depthwise_norm(self, x: Value, path: str, *, stride: int, activation: Activation) -> Value:
        """The same with a depthwise convolution."""
        x = self.norm(self.conv(x, f"{path}.conv", stride=stride, is_depthwise=True), f"{path}.norm")
        return self.activation(x, f"{path}.activation", activation)

    def conv(self, x: Value, name: str, *, stride: int = 1, is_depthwise: bool = False) -> Value:
        """A convolution, with a bias where the definition has one."""
        label, bias = f"{name}.kernel", f"{name}.bias"
        found = self.state[bias] if self.has(bias) else None
        return self.convolved(
            x, self.tensor(label), name, label=label, bias=found, stride=stride, is_depthwise=is_depthwise
        )

    def convolved(
        self, x: Value, kernel: Array, name: str, *, label: str, bias: Array | None, stride: int, is_depthwise: bool
    ) -> Value:
        """A convolution with any kernel (out, in, height, width); `label` is what the kernel is called."""
        side, channels = int(kernel.shape[2]), int(kernel.shape[0])
        size = None if x.size is None else self._after(x.size, side, stride)
        if self.is_wide:
            y = convolve(
                self.graph,
                x.name,
                kernel,
                name,
                stride=stride,
                padding=self.padding,
                is_depthwise=is_depthwise,
                label=label,
            )
            return self.biased(Value(name=y, channels=channels, size=size), name, bias)
        inputs = [x.name, self.graph.tensor(label, kernel)]
        if bias is not None:
            inputs.append(self.graph.tensor(f"{name}.bias", bias))
        attributes: dict[str, Attribute] = {"kernel_shape": [side, side], "strides": [stride, stride]}
        attributes |= {"group": x.channels if is_depthwise else 1} | self._padding(x.size, side, stride)
        y = self.graph.add("Conv", inputs, name, attributes)
        return Value(name=y, channels=channels, size=size)

    def biased(self, x: Value, name: str, bias: Array | None) -> Value:
        """The value plus a bias for each channel, where there is one."""
        if bias is None:
            return x
        tensor = self.graph.tensor(f"{name}.bias", bias[:, None, None])  # (C, 1, 1)
        return replace(x, name=self.graph.add("Add", [x.name, tensor], f"{name}.biased"))

    def _padding(self, size: tuple[int, int] | None, side: int, stride: int) -> dict[str, Attribute]:
        amount = (side - 1) // 2
        if self.padding is Padding.SYMMETRIC or (stride == 1 and side % 2 == 1):
            return {"pads": [amount] * 4}  # whatever the size
        if size is None:
            return {"auto_pad": "SAME_UPPER"}
        (top, bottom), (left, right) = (
            padding_amounts(pixels, kernel_size=side, stride=stride, padding=self.padding) for pixels in size
        )
        return {"pads": [top, left, bottom, right]}

    def _after(self, size: tuple[int, int], side: int, stride: int) -> tuple[int, int]:
        height, width = (output_size(pixels, kernel_size=side, stride=stride, padding=self.padding) for pixels in size)
        return height, width

    def norm(self, x: Value, name: str, *, rule: Norm | None = None) -> Value:
        """Batch normalisation by the moving statistics; the input itself where the network's is folded."""
        chosen = self.norm_rule if rule is None else rule
        if chosen is None:
            return x
        leaves = ("gamma", "beta", "mean", "variance")
        # ONNX keeps numbers of operators in float32: in float64 the variance takes what its epsilon lost there.
        lost = chosen.epsilon - float(np.float32(chosen.epsilon)) if self.is_wide else 0.0
        tensors = [
            self.graph.tensor(
                f"{name}.{leaf}", self.state[f"{name}.{leaf}"].astype(self.graph.dtype) + lost * (leaf == "variance")
            )
            for leaf in leaves
        ]
        attributes: dict[str, Attribute] = {"epsilon": chosen.epsilon}
        return replace(
            x, name=self.graph.add("BatchNormalization", [x.name, *tensors], f"{name}.normalised", attributes)
        )

    def dense(self, x: Value, name: str) -> Value:
        """A dense layer, with a bias where the definition has one."""
        kernel = self.state[f"{name}.kernel"]  # (in, out)
        inputs = [x.name, self.graph.tensor(f"{name}.kernel", kernel)]
        if self.has(f"{name}.bias"):
            inputs.append(self.graph.tensor(f"{name}.bias", self.state[f"{name}.bias"]))
        y = self.graph.add("Gemm", inputs, f"{name}.dense")
        return Value(name=y, channels=int(kernel.shape[1]), size=None, is_flat=True)

    def activation(self, x: Value, name: str, activation: Activation) -> Value:
        """A non-linearity."""
        match activation:
            case Activation.SWISH:
                gate = self.graph.add("Sigmoid", [x.name], f"{name}.sigmoid")
                y = self.graph.add("Mul", [x.name, gate], name)
            case Activation.RELU6:
                low, high = (self.graph.tensor(f"relu6.{bound}", np.array(bound)) for bound in (0, 6))
                y = self.graph.add("Clip", [x.name, low, high], name)
            case Activation.RELU:
                y = self.graph.add("Relu", [x.name], name)
            case Activation.TANH:
                y = self.graph.add("Tanh", [x.name], name)
            case Activation.SIGMOID:
                y = self.graph.add("Sigmoid", [x.name], name)
        return replace(x, name=y)

    def average(self, x: Value, name: str) -> Value:
        """The mean over height and width, (N, C, 1, 1)."""
        return self._pooled(x, name, "GlobalAveragePool", "ReduceMean")

    def maximum(self, x: Value, name: str) -> Value:
        """The largest value over height and width, (N, C, 1, 1)."""
        return self._pooled(x, name, "GlobalMaxPool", "ReduceMax")

    def _pooled(self, x: Value, name: str, operator: str, wide_operator: str) -> Value:
        if self.is_wide:  # ONNX Runtime pools float32 alone
            axes = self.graph.numbers([2, 3], "height and width")
            y = self.graph.add(wide_operator, [x.name, axes], name, {"keepdims": 1})
        else:
            y = self.graph.add(operator, [x.name], name)
        return Value(name=y, channels=x.channels, size=(1, 1))

    def flat(self, x: Value, name: str) -> Value:
        """(N, C, 1, 1) -> (N, C)."""
        return replace(x, name=self.graph.add("Flatten", [x.name], name), size=None, is_flat=True)

    def multiply(self, x: Value, y: Value, name: str) -> Value:
        """The product, sizes of 1 repeated."""
        return replace(x, name=self.graph.add("Mul", [x.name, y.name], name))

    def plus(self, x: Value, y: Value, name: str) -> Value:
        """The sum."""
        return replace(x, name=self.graph.add("Add", [x.name, y.name], name))
