"""Networks that end elsewhere than in one dense classifier."""

from __future__ import annotations

from dataclasses import replace

from effnet_core import (
    Activation,
    HiddenActivation,
    HiddenDense,
    HiddenDropout,
    HiddenLayer,
    HiddenNorm,
    NetworkSpec,
    Pooling,
    resolve,
)

CLASSES = 5


def narrow(name: str = "b0", *, num_classes: int = CLASSES) -> NetworkSpec:
    return resolve(name, width=0.13, depth=0.3, num_classes=num_classes)


def short() -> NetworkSpec:
    """Two blocks of it, where nothing is looked up in the table of variants."""
    spec = narrow()
    assert spec.head is not None
    blocks = spec.blocks[:2]
    return replace(spec, blocks=blocks, head=replace(spec.head, in_channels=blocks[-1].out_channels))


def hidden_layers(channels: int, *, activation: Activation | None = Activation.RELU) -> tuple[HiddenLayer, ...]:
    """What people put between pooling and classifier, and a dense layer without a bias behind its own norm."""
    return (
        HiddenDense(in_channels=channels, out_channels=12, activation=activation),
        HiddenNorm(channels=12, epsilon=2e-3, decay=0.9),
        HiddenDropout(dropout_rate=0.3),
        HiddenDense(in_channels=12, out_channels=7, activation=None, has_bias=False),
        HiddenNorm(channels=7, epsilon=1e-3, decay=0.99),
        HiddenActivation(activation=Activation.TANH),
    )


def with_hidden(
    spec: NetworkSpec, *, activation: Activation | None = Activation.RELU, pooling: Pooling = Pooling.AVERAGE
) -> NetworkSpec:
    """The network with those layers before its classifier."""
    assert spec.head is not None
    assert spec.classifier is not None
    layers = hidden_layers(spec.head.out_channels, activation=activation)
    return replace(spec, classifier=replace(spec.classifier, in_channels=7, pooling=pooling, hidden=layers))
