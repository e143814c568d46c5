"""Every tensor of a network, in forward order, under its canonical name.

Layouts are TensorFlow's: convolution HWIO (height, width, in, out), depthwise HWCM (height, width, channels,
multiplier 1), dense IO (in, out), and experts EK: one row for each expert, its kernel flattened. From this list every
dialect, every backend and every count is derived.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from math import prod
from typing import NamedTuple

from effnet_core.heads import Classifier, HiddenDense, HiddenNorm
from effnet_core.spec import Block, CondMBConv, FusedMBConv, MBConv, NetworkSpec


class Role(StrEnum):
    """What a tensor is, from which its layout follows."""

    CONV = "conv"
    DEPTHWISE = "depthwise"
    DENSE = "dense"
    ROUTING = "routing"
    EXPERTS = "experts"
    DEPTHWISE_EXPERTS = "depthwise_experts"
    BIAS = "bias"
    GAMMA = "gamma"
    BETA = "beta"
    MEAN = "mean"
    VARIANCE = "variance"


LEAVES = {
    Role.CONV: "kernel",
    Role.DEPTHWISE: "kernel",
    Role.DENSE: "kernel",
    Role.ROUTING: "kernel",
    Role.EXPERTS: "kernel",
    Role.DEPTHWISE_EXPERTS: "kernel",
    Role.BIAS: "bias",
    Role.GAMMA: "gamma",
    Role.BETA: "beta",
    Role.MEAN: "mean",
    Role.VARIANCE: "variance",
}
"""The last part of a canonical name."""

NORM_ROLES = (Role.GAMMA, Role.BETA, Role.MEAN, Role.VARIANCE)
STATISTICS = frozenset({Role.MEAN, Role.VARIANCE})
"""Roles that training updates without gradients."""


class Parameter(NamedTuple):
    """One tensor of a network."""

    layer: str
    """Canonical path of the layer, such as blocks.3.depthwise.norm."""
    block: int | None
    """Index of the block, None outside blocks."""
    role: Role
    shape: tuple[int, ...]
    hidden: int | None = None
    """Index of the hidden layer, None elsewhere."""
    expert_shape: tuple[int, ...] | None = None
    """Of one expert's kernel, HWIO or HWCM, where the rows of the tensor are experts."""

    @property
    def name(self) -> str:
        """The canonical name, such as blocks.3.depthwise.norm.gamma."""
        return f"{self.layer}.{LEAVES[self.role]}"

    @property
    def part(self) -> str:
        """The layer's path without indices: depthwise.norm in a block, stem.conv, hidden."""
        if self.hidden is not None:
            return "hidden"
        return self.layer if self.block is None else self.layer.split(".", 2)[2]

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def trainable(self) -> bool:
        """False for the moving statistics of a normalisation."""
        return self.role not in STATISTICS


@lru_cache(maxsize=16)
def parameters(spec: NetworkSpec) -> tuple[Parameter, ...]:
    """Every tensor of the network in forward order."""
    folded = spec.norm is None
    blocks = chain.from_iterable(
        block_parameters(index, block, is_folded=folded) for index, block in enumerate(spec.blocks)
    )
    return (*stem_parameters(spec), *blocks, *head_parameters(spec))


def stem_parameters(spec: NetworkSpec) -> Iterator[Parameter]:
    """The tensors before the first block."""
    stem = spec.stem
    sizes = stem.kernel_size, stem.in_channels, stem.out_channels
    return _conv_norm("stem", None, *sizes, is_folded=spec.norm is None)


def block_parameters(index: int, block: Block, *, is_folded: bool) -> Iterator[Parameter]:
    """The tensors of one block; where normalisation is folded into its convolutions, these have biases."""
    match block:
        case MBConv():
            return _mbconv(index, block, is_folded=is_folded)
        case FusedMBConv():
            return _fused_mbconv(index, block, is_folded=is_folded)
        case CondMBConv():
            return _cond_mbconv(index, block, is_folded=is_folded)


def head_parameters(spec: NetworkSpec) -> Iterator[Parameter]:
    """The tensors behind the last block."""
    if spec.head is not None:
        sizes = 1, spec.head.in_channels, spec.head.out_channels
        yield from _conv_norm("head", None, *sizes, is_folded=spec.norm is None)
    if spec.classifier is not None:
        yield from classifier_parameters(spec.classifier)


def classifier_parameters(classifier: Classifier) -> Iterator[Parameter]:
    """The tensors behind the pooling."""
    for index, layer in enumerate(classifier.hidden):
        path = f"hidden.{index}"
        if isinstance(layer, HiddenDense):
            shape = (layer.in_channels, layer.out_channels)
            yield Parameter(layer=path, block=None, hidden=index, role=Role.DENSE, shape=shape)
            if layer.has_bias:
                yield Parameter(layer=path, block=None, hidden=index, role=Role.BIAS, shape=shape[1:])
        elif isinstance(layer, HiddenNorm):
            for role in NORM_ROLES:
                yield Parameter(layer=path, block=None, hidden=index, role=role, shape=(layer.channels,))
    shape = (classifier.in_channels, classifier.num_classes)
    yield Parameter(layer="classifier", block=None, role=Role.DENSE, shape=shape)
    yield Parameter(layer="classifier", block=None, role=Role.BIAS, shape=shape[1:])


def _mbconv(index: int, block: MBConv, *, is_folded: bool) -> Iterator[Parameter]:
    path = f"blocks.{index}"
    expanded, squeezed = block.expanded_channels, block.squeeze_channels
    if block.has_expansion:
        yield from _conv_norm(f"{path}.expand", index, 1, block.in_channels, expanded, is_folded=is_folded)
    kernel = (block.kernel_size, block.kernel_size, expanded, 1)
    yield Parameter(layer=f"{path}.depthwise.conv", block=index, role=Role.DEPTHWISE, shape=kernel)
    yield from _norm(f"{path}.depthwise", index, expanded, is_folded=is_folded)
    yield from _squeeze_excite(path, index, expanded, squeezed)
    yield from _conv_norm(f"{path}.project", index, 1, expanded, block.out_channels, is_folded=is_folded)


def _fused_mbconv(index: int, block: FusedMBConv, *, is_folded: bool) -> Iterator[Parameter]:
    path, kernel_size = f"blocks.{index}", block.kernel_size
    if block.has_expansion:
        sizes = kernel_size, block.in_channels, block.expanded_channels
        yield from _conv_norm(f"{path}.expand", index, *sizes, is_folded=is_folded)
        kernel_size = 1
    sizes = kernel_size, block.expanded_channels, block.out_channels
    yield from _conv_norm(f"{path}.project", index, *sizes, is_folded=is_folded)


def _cond_mbconv(index: int, block: CondMBConv, *, is_folded: bool) -> Iterator[Parameter]:
    path, experts = f"blocks.{index}", block.num_experts
    expanded = block.expanded_channels
    routing = (block.in_channels, experts)
    yield Parameter(layer=f"{path}.routing", block=index, role=Role.ROUTING, shape=routing)
    yield Parameter(layer=f"{path}.routing", block=index, role=Role.BIAS, shape=(experts,))
    if block.has_expansion:
        yield _experts(f"{path}.expand", index, Role.EXPERTS, experts, (1, 1, block.in_channels, expanded))
        yield from _norm(f"{path}.expand", index, expanded, is_folded=is_folded)
    spatial = (block.kernel_size, block.kernel_size, expanded, 1)
    yield _experts(f"{path}.depthwise", index, Role.DEPTHWISE_EXPERTS, experts, spatial)
    yield from _norm(f"{path}.depthwise", index, expanded, is_folded=is_folded)
    yield from _squeeze_excite(path, index, expanded, block.squeeze_channels)
    yield _experts(f"{path}.project", index, Role.EXPERTS, experts, (1, 1, expanded, block.out_channels))
    yield from _norm(f"{path}.project", index, block.out_channels, is_folded=is_folded)


def _experts(path: str, block: int, role: Role, experts: int, kernel: tuple[int, ...]) -> Parameter:
    shape = (experts, prod(kernel))
    return Parameter(layer=f"{path}.conv", block=block, role=role, shape=shape, expert_shape=kernel)


def _squeeze_excite(path: str, block: int, channels: int, squeezed: int | None) -> Iterator[Parameter]:
    if squeezed is not None:
        yield from _conv_bias(f"{path}.squeeze_excite.reduce", block, channels, squeezed)
        yield from _conv_bias(f"{path}.squeeze_excite.expand", block, squeezed, channels)


def _conv_norm(
    path: str, block: int | None, kernel: int, inputs: int, outputs: int, *, is_folded: bool
) -> Iterator[Parameter]:
    shape = (kernel, kernel, inputs, outputs)
    yield Parameter(layer=f"{path}.conv", block=block, role=Role.CONV, shape=shape)
    yield from _norm(path, block, outputs, is_folded=is_folded)


def _conv_bias(layer: str, block: int, inputs: int, outputs: int) -> Iterator[Parameter]:
    yield Parameter(layer=layer, block=block, role=Role.CONV, shape=(1, 1, inputs, outputs))
    yield Parameter(layer=layer, block=block, role=Role.BIAS, shape=(outputs,))


def _norm(path: str, block: int | None, channels: int, *, is_folded: bool) -> Iterator[Parameter]:
    """Of the normalisation behind a convolution, or that convolution's bias, which is all that folding leaves of it."""
    if is_folded:
        yield Parameter(layer=f"{path}.conv", block=block, role=Role.BIAS, shape=(channels,))
        return
    for role in NORM_ROLES:
        yield Parameter(layer=f"{path}.norm", block=block, role=role, shape=(channels,))
