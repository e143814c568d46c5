"""Conditional convolutions: every image of a batch has kernels of its own, mixed from several experts' kernels.

kernel(image) = sum over experts of mixture(image, expert) * kernel(expert). The batch may have any size. A 1x1 kernel
is mixed and applied as a matrix for each image. A depthwise one would need as many groups as images times channels,
which ONNX's Conv fixes when the file is written: so every expert convolves, and the results are mixed, which is the
same by linearity.

Shapes: N images, E experts, C channels, H rows, W columns.

Source: Yang et al., CondConv: Conditionally Parameterized Convolutions for Efficient Inference (2019), section 3.
"""

from __future__ import annotations

from dataclasses import replace

from effnet_onnx.graph import Array, Value
from effnet_onnx.layers import Layers


def mixture(layers: Layers, x: Value, name: str) -> Value:
    """How much of each expert's kernel every image takes, in (0, 1), not summing to 1: (N, C, H, W) -> (N, E)."""
    x = layers.dense(layers.flat(layers.average(x, f"{name}.average"), f"{name}.flat"), name)
    return replace(x, name=layers.graph.add("Sigmoid", [x.name], f"{name}.sigmoid"))


def cond_conv(layers: Layers, x: Value, shares: Value, name: str) -> Value:
    """A 1x1 convolution whose kernel is mixed for each image."""
    graph, kernels = layers.graph, layers.tensor(f"{name}.kernel")  # (E, out, in, 1, 1)
    experts, outputs, inputs = kernels.shape[:3]
    matrix = graph.tensor(f"{name}.kernel", kernels.reshape(experts, outputs * inputs))
    mixed = graph.add("MatMul", [shares.name, matrix], f"{name}.mixed")  # (N, out * in)
    form = graph.numbers([-1, outputs, inputs], f"{name}.kernel.form")
    mixed = graph.add("Reshape", [mixed, form], f"{name}.kernels")  # (N, out, in)
    pixels = graph.add("Reshape", [x.name, graph.numbers([0, inputs, -1], f"{name}.pixels.form")], f"{name}.pixels")
    y = graph.add("MatMul", [mixed, pixels], f"{name}.products")  # (N, out, H * W)
    sizes = graph.add("Shape", [x.name], f"{name}.size", {"start": 2, "end": 4})
    front = graph.numbers([0, outputs], f"{name}.front")
    whole = graph.add("Concat", [front, sizes], f"{name}.form", {"axis": 0})
    y = graph.add("Reshape", [y, whole], name)
    return layers.biased(Value(name=y, channels=outputs, size=x.size), name, _bias(layers, name))


def cond_depthwise(layers: Layers, x: Value, shares: Value, name: str, *, stride: int) -> Value:
    """A depthwise convolution whose kernel is mixed for each image."""
    graph, kernels = layers.graph, layers.tensor(f"{name}.kernel")  # (E, C, 1, height, width)
    count = len(kernels)
    form = graph.numbers([0, count, 1, 1], f"{name}.shares.form")
    each = graph.split(graph.add("Reshape", [shares.name, form], f"{name}.shares"), count, f"{name}.share")
    terms: list[str] = []
    y = x
    for index, (kernel, share) in enumerate(zip(kernels, each, strict=True)):
        label = f"{name}.kernel.{index}"
        y = layers.convolved(x, kernel, f"{name}.{index}", label=label, bias=None, stride=stride, is_depthwise=True)
        terms.append(graph.add("Mul", [y.name, share], f"{name}.{index}.mixed"))
    y = replace(y, name=graph.add("Sum", terms, name))
    return layers.biased(y, name, _bias(layers, name))


def _bias(layers: Layers, name: str) -> Array | None:
    return layers.state[f"{name}.bias"] if layers.has(f"{name}.bias") else None
