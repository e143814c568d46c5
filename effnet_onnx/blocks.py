"""One function for each kind of block; each gives its endpoints, the block's output last."""

from __future__ import annotations

from effnet_core import Block, CondMBConv, FusedMBConv, MBConv
from effnet_onnx.condconv import cond_conv, cond_depthwise, mixture
from effnet_onnx.graph import Value
from effnet_onnx.layers import Layers


def mbconv(layers: Layers, x: Value, path: str, block: MBConv) -> dict[str, Value]:
    """A mobile inverted bottleneck; `path` is its canonical path, `blocks.I`."""
    shortcut, endpoints = x, dict[str, Value]()
    if block.has_expansion:
        x = endpoints[f"{path}.expand"] = layers.conv_norm(x, f"{path}.expand", activation=block.activation)
    x = layers.depthwise_norm(x, f"{path}.depthwise", stride=block.stride, activation=block.activation)
    endpoints[f"{path}.depthwise"] = x
    if block.squeeze_channels is not None:
        x = endpoints[f"{path}.squeeze_excite"] = squeeze_excite(layers, x, f"{path}.squeeze_excite", block)
    x = endpoints[f"{path}.project"] = layers.conv_norm(x, f"{path}.project", activation=None)
    return endpoints | {path: _with_residual(layers, x, shortcut, path, block)}


def fused_mbconv(layers: Layers, x: Value, path: str, block: FusedMBConv) -> dict[str, Value]:
    """One full convolution in place of expansion and depthwise; it has the stride."""
    shortcut, endpoints = x, dict[str, Value]()
    spatial = "expand" if block.has_expansion else "project"
    x = layers.conv_norm(x, f"{path}.{spatial}", stride=block.stride, activation=block.activation)
    endpoints[f"{path}.{spatial}"] = x
    if block.has_expansion:
        x = endpoints[f"{path}.project"] = layers.conv_norm(x, f"{path}.project", activation=None)
    return endpoints | {path: _with_residual(layers, x, shortcut, path, block)}


def cond_mbconv(layers: Layers, x: Value, path: str, block: CondMBConv) -> dict[str, Value]:
    """An MBConv whose kernels are mixed for each image, from what the block's input says."""
    shortcut, endpoints = x, dict[str, Value]()
    shares, activation = mixture(layers, x, f"{path}.routing"), block.activation
    if block.has_expansion:
        x = layers.norm(cond_conv(layers, x, shares, f"{path}.expand.conv"), f"{path}.expand.norm")
        x = endpoints[f"{path}.expand"] = layers.activation(x, f"{path}.expand.activation", activation)
    x = cond_depthwise(layers, x, shares, f"{path}.depthwise.conv", stride=block.stride)
    x = layers.activation(layers.norm(x, f"{path}.depthwise.norm"), f"{path}.depthwise.activation", activation)
    endpoints[f"{path}.depthwise"] = x
    if block.squeeze_channels is not None:
        x = endpoints[f"{path}.squeeze_excite"] = squeeze_excite(layers, x, f"{path}.squeeze_excite", block)
    x = layers.norm(cond_conv(layers, x, shares, f"{path}.project.conv"), f"{path}.project.norm")
    endpoints[f"{path}.project"] = x
    return endpoints | {path: _with_residual(layers, x, shortcut, path, block)}


def _with_residual(layers: Layers, x: Value, shortcut: Value, path: str, block: Block) -> Value:
    """The block's output: its branch, and its input where it has a residual. Drop-connect acts in training only."""
    return layers.plus(x, shortcut, f"{path}.add") if block.has_residual else x


def squeeze_excite(layers: Layers, x: Value, path: str, block: MBConv | CondMBConv) -> Value:
    """Each channel of `x` times a gate in (0, 1) that the channels' averages decide.

    Source: Hu et al., Squeeze-and-Excitation Networks (2018), section 3.
    """
    gate = layers.conv(layers.average(x, f"{path}.average"), f"{path}.reduce")
    gate = layers.activation(gate, f"{path}.activation", block.activation)
    gate = layers.conv(gate, f"{path}.expand")
    gate_name = layers.graph.add("Sigmoid", [gate.name], f"{path}.gate")
    return layers.multiply(x, Value(name=gate_name, channels=x.channels, size=(1, 1)), f"{path}.multiply")


def build_block(layers: Layers, x: Value, path: str, block: Block) -> dict[str, Value]:
    """The endpoints of a block of any kind, its output last, under `path`."""
    match block:
        case MBConv():
            return mbconv(layers, x, path, block)
        case FusedMBConv():
            return fused_mbconv(layers, x, path, block)
        case CondMBConv():
            return cond_mbconv(layers, x, path, block)
