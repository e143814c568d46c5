"""Parameters and multiply-adds of a network, computed from its definition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from effnet_core.heads import Classifier, HiddenDense, HiddenNorm
from effnet_core.padding import output_size
from effnet_core.spec import CondMBConv, FusedMBConv, MBConv, NetworkSpec


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a network costs."""

    trainable: int
    """Parameters that training changes by gradients: the number that papers print."""
    statistics: int
    """Moving statistics of the normalisations."""
    multiply_adds: int
    """Of all convolutions and dense layers for one image; biases, norms and activations are not counted."""


class _Layer(NamedTuple):
    """What a convolution or dense layer costs, together with its biases and its normalisation."""

    kernel: int
    multiply_adds: int
    biases: int = 0
    normalised: int = 0
    """Channels of a hidden normalisation; each has gamma, beta, mean and variance."""
    followed: int = 0
    """Channels of a convolution with the network's normalisation behind it or, where that is folded, with biases."""


def counts(spec: NetworkSpec, *, resolution: int | None = None) -> Counts:
    """All counts; `resolution` is the side of the square input in pixels, by default the definition's own.

    Computed from the sizes of the layers, because to make every `Parameter` takes many times as long.
    """
    layers = list(_layers(spec, spec.preprocessing.resolution if resolution is None else resolution))
    followed = sum(layer.followed for layer in layers)
    normalised = sum(layer.normalised for layer in layers) + (0 if spec.norm is None else followed)
    return Counts(
        trainable=sum(layer.kernel + layer.biases for layer in layers)
        + 2 * normalised
        + (followed if spec.norm is None else 0),
        statistics=2 * normalised,
        multiply_adds=sum(layer.multiply_adds for layer in layers),
    )


def parameter_count(spec: NetworkSpec) -> int:
    """Trainable parameters: the number that papers print."""
    return counts(spec).trainable


def total_count(spec: NetworkSpec) -> int:
    """All numbers that a checkpoint holds: trainable parameters and moving statistics."""
    found = counts(spec)
    return found.trainable + found.statistics


def multiply_adds(spec: NetworkSpec, *, resolution: int | None = None) -> int:
    """Multiply-adds of all convolutions and dense layers for one image, as in `counts`."""
    return counts(spec, resolution=resolution).multiply_adds


def _layers(spec: NetworkSpec, side: int) -> Iterator[_Layer]:
    """Of the whole network; `side` is the side of the input in pixels."""
    stem, head = spec.stem, spec.head
    side = _strided(spec, side, stem.kernel_size, stem.stride)
    yield _conv_norm(stem.kernel_size**2 * stem.in_channels, stem.out_channels, side)
    for block in spec.blocks:
        after = _strided(spec, side, block.kernel_size, block.stride)
        yield from _fused_layers(block, after) if isinstance(block, FusedMBConv) else _mbconv_layers(block, side, after)
        side = after
    if head is not None:
        yield _conv_norm(head.in_channels, head.out_channels, side)
    if spec.classifier is not None:
        yield from _classifier_layers(spec.classifier)


def _classifier_layers(classifier: Classifier) -> Iterator[_Layer]:
    for layer in classifier.hidden:
        if isinstance(layer, HiddenNorm):
            yield _Layer(0, 0, normalised=layer.channels)
        elif isinstance(layer, HiddenDense):
            kernel = layer.in_channels * layer.out_channels
            yield _Layer(kernel, kernel, biases=layer.out_channels if layer.has_bias else 0)
    yield _dense(classifier.in_channels, classifier.num_classes)


def _fused_layers(block: FusedMBConv, side: int) -> Iterator[_Layer]:
    """`side` is the side of its output in pixels."""
    window = block.kernel_size**2
    if block.has_expansion:
        yield _conv_norm(window * block.in_channels, block.expanded_channels, side)
        window = 1
    yield _conv_norm(window * block.expanded_channels, block.out_channels, side)


def _mbconv_layers(block: MBConv | CondMBConv, before: int, after: int) -> Iterator[_Layer]:
    """`before` and `after` are the sides of its input and output in pixels: the depthwise layer has the stride."""
    expanded, squeezed = block.expanded_channels, block.squeeze_channels
    experts = None
    if isinstance(block, CondMBConv):
        experts = block.num_experts
        yield _dense(block.in_channels, experts)
    if block.has_expansion:
        yield _conv_norm(block.in_channels, expanded, before, experts)
    yield _conv_norm(block.kernel_size**2, expanded, after, experts)
    if squeezed is not None:
        yield _dense(expanded, squeezed)
        yield _dense(squeezed, expanded)
    yield _conv_norm(expanded, block.out_channels, after, experts)


def _conv_norm(window: int, channels: int, side: int, experts: int | None = None) -> _Layer:
    """`window` numbers are multiplied for each of the output `channels` at each of `side` x `side` positions.

    Experts are mixed once for an example, and the mixture is applied at every position.
    """
    kernel = window * channels
    applied = kernel * side**2
    if experts is None:
        return _Layer(kernel, applied, followed=channels)
    return _Layer(kernel * experts, kernel * experts + applied, followed=channels)


def _dense(inputs: int, outputs: int) -> _Layer:
    """Also a convolution of a single position, as in squeeze-and-excite."""
    return _Layer(inputs * outputs, inputs * outputs, biases=outputs)


def _strided(spec: NetworkSpec, side: int, kernel_size: int, stride: int) -> int:
    return output_size(side, kernel_size=kernel_size, stride=stride, padding=spec.padding)
