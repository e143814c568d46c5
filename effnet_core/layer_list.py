"""Every single step of a network, in forward order, under the name that both backends' layers have.

`effnet_core.endpoints` names results; this names what computes them: a convolution, a normalisation and an activation
are a step each, so that a difference can be told to lie in one of them.

| name | step |
|---|---|
| `stem.conv`, `stem.norm`, `stem.activation` | the stem; and so `blocks.I.expand`, `.depthwise`, `.project`, `head` |
| `blocks.I.routing.average`, `.routing`, `.routing.sigmoid` | how a conditional block mixes its experts |
| `blocks.I.squeeze_excite.average`, `.reduce`, `.activation`, `.expand`, `.gate` | inside squeeze-and-excite |
| `blocks.I.squeeze_excite` | its product |
| `blocks.I.drop_connect`, `dropout` | act in training only |
| `blocks.I` | the block's output, a sum where it has a residual |
| `pooled`, `hidden.I`, `logits` | behind the head |

Where normalisations are folded into the convolutions, there is no `norm`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from effnet_core.heads import Classifier, HiddenDense, HiddenDropout, HiddenNorm
from effnet_core.spec import Block, CondMBConv, FusedMBConv, NetworkSpec


class LayerKind(StrEnum):
    """What a step does to its numbers."""

    LINEAR = "linear"
    """Sums of products with weights: a convolution, a dense layer."""
    NORM = "norm"
    """Batch normalisation."""
    MIXTURE = "mixture"
    """The shares of the experts' kernels."""
    DROP = "drop"
    """Zeroes parts in training and divides the rest by the probability of staying."""
    OTHER = "other"
    """A non-linearity, an average, a product, a sum; no weights."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One step."""

    name: str
    kind: LayerKind
    weights: str = ""
    """The layer of its parameters (`Parameter.layer`); empty where it has none."""


def layers(spec: NetworkSpec) -> tuple[Layer, ...]:
    """Every step of the network in forward order, those of training too."""
    return tuple(_layers(spec))


def _layers(spec: NetworkSpec) -> Iterator[Layer]:
    folded = spec.norm is None
    yield from _conv_norm("stem", is_activated=True, is_folded=folded)
    for index, block in enumerate(spec.blocks):
        yield from _block(f"blocks.{index}", block, is_folded=folded)
    if spec.head is not None:
        yield from _conv_norm("head", is_activated=True, is_folded=folded)
        yield Layer(name="pooled", kind=LayerKind.OTHER)
    if spec.classifier is not None:
        yield from _classifier(spec.classifier)


def _block(path: str, block: Block, *, is_folded: bool) -> Iterator[Layer]:
    is_fused = isinstance(block, FusedMBConv)
    if isinstance(block, CondMBConv):
        yield Layer(name=f"{path}.routing.average", kind=LayerKind.OTHER)
        yield _weighted(f"{path}.routing", LayerKind.LINEAR)
        yield Layer(name=f"{path}.routing.sigmoid", kind=LayerKind.MIXTURE)
    if block.has_expansion:
        yield from _conv_norm(f"{path}.expand", is_activated=True, is_folded=is_folded)
    if not isinstance(block, FusedMBConv):
        yield from _conv_norm(f"{path}.depthwise", is_activated=True, is_folded=is_folded)
        if block.squeeze_channels is not None:
            yield from _squeeze_excite(f"{path}.squeeze_excite")
    last_is_activated = is_fused and not block.has_expansion
    yield from _conv_norm(f"{path}.project", is_activated=last_is_activated, is_folded=is_folded)
    if block.has_residual and block.drop_connect_rate > 0:
        yield Layer(name=f"{path}.drop_connect", kind=LayerKind.DROP)
    yield Layer(name=path, kind=LayerKind.OTHER)


def _conv_norm(path: str, *, is_activated: bool, is_folded: bool) -> Iterator[Layer]:
    yield _weighted(f"{path}.conv", LayerKind.LINEAR)
    if not is_folded:
        yield _weighted(f"{path}.norm", LayerKind.NORM)
    if is_activated:
        yield Layer(name=f"{path}.activation", kind=LayerKind.OTHER)


def _squeeze_excite(path: str) -> Iterator[Layer]:
    yield Layer(name=f"{path}.average", kind=LayerKind.OTHER)
    yield _weighted(f"{path}.reduce", LayerKind.LINEAR)
    yield Layer(name=f"{path}.activation", kind=LayerKind.OTHER)
    yield _weighted(f"{path}.expand", LayerKind.LINEAR)
    yield Layer(name=f"{path}.gate", kind=LayerKind.OTHER)
    yield Layer(name=path, kind=LayerKind.OTHER)


def _classifier(classifier: Classifier) -> Iterator[Layer]:
    for index, layer in enumerate(classifier.hidden):
        name = f"hidden.{index}"
        if isinstance(layer, HiddenNorm):
            yield _weighted(name, LayerKind.NORM)
        elif isinstance(layer, HiddenDense):  # its activation is a part of it
            yield _weighted(name, LayerKind.LINEAR)
        else:
            is_drop = isinstance(layer, HiddenDropout)
            yield Layer(name=name, kind=LayerKind.DROP if is_drop else LayerKind.OTHER)
    if classifier.dropout_rate > 0:
        yield Layer(name="dropout", kind=LayerKind.DROP)
    yield Layer(name="logits", kind=LayerKind.LINEAR, weights="classifier")


def _weighted(name: str, kind: LayerKind) -> Layer:
    return Layer(name=name, kind=kind, weights=name)
