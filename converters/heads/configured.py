"""The head behind a network as the configuration of a Keras model says it: pooling, activations, dropout, epsilon.

Source: keras/src/layers and keras/src/activations, version 3.15; the names are those of Keras 2 too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import cast

from converters.heads.layers import DenseTensors, LayerTensors, NormTensors, NoSmallHead
from converters.keras_json import Layer
from converters.keras_models.classes import ACTIVATIONS, IDLE, IN_TRAINING_ONLY, POOLING
from converters.keras_models.config import UnclearModel, layers_behind
from effnet_core import (
    Activation,
    HiddenActivation,
    HiddenDense,
    HiddenDropout,
    HiddenLayer,
    HiddenNorm,
    Pooling,
    Role,
)

_OF_PROBABILITIES = ("softmax", "sigmoid")
_LINEAR = "linear"
_UNCHANGED = IDLE - IN_TRAINING_ONLY | {"Flatten"}
"""Layers that do nothing to (N, C)."""


@dataclass(frozen=True, kw_only=True)
class KerasModel:
    """The configuration of a model that holds a network."""

    text: str
    norm: str
    """Path of the network's last norm."""

    @cached_property
    def behind(self) -> tuple[Layer, ...] | None:
        """The layers behind that norm, None where it is not there. Raises `UnclearModel` as `layers_behind` does."""
        return layers_behind(self.text, self.norm)

    @property
    def holds_network(self) -> bool:
        """Whether that norm is there, so that the text says what follows it."""
        try:
            return self.behind is not None
        except UnclearModel:
            return True

    @property
    def pooling(self) -> Pooling | None:
        """The first global pooling behind that norm, None where there is none or the way is not clear."""
        try:
            way = self.behind or ()
        except UnclearModel:
            return None
        return next((POOLING[layer.kind] for layer in way if layer.kind in POOLING), None)


@dataclass(frozen=True, kw_only=True)
class StatedHead:
    """What a configuration says."""

    pooling: Pooling
    hidden: tuple[HiddenLayer, ...]
    dropout_rate: float
    """Before the last dense layer."""
    layers: tuple[LayerTensors, ...]
    """The layers with tensors in forward order, the last gives the classes."""
    note: str


def stated_head(
    model: KerasModel, layers: Sequence[LayerTensors], *, activation: Activation, features: int
) -> StatedHead | None:
    """The head that stands behind a network, whose `activation` and number of features are known.

    None where the text is no configuration of a model that holds the norm. Raises `NoSmallHead` where it is no chain of
    layers that a head can have, or its layers are not those of the file.
    """
    try:
        way = model.behind
    except UnclearModel:
        raise NoSmallHead(
            "the model's configuration has several ways from the network to its output, or several outputs"
        ) from None
    if way is None:
        return None
    steps = [layer for layer in way if layer.kind not in _UNCHANGED]
    if not steps or _activation_of(steps[0]) is not activation:
        raise NoSmallHead(f"the model's configuration has no {activation} behind the network's last norm")
    last = max((place for place, layer in enumerate(steps) if layer.kind == "Dense"), default=0)
    if last == 0:
        raise NoSmallHead("the model's configuration has no dense layer behind the network")
    flattens = any(layer.kind == "Flatten" for layer in way)
    reading = _Reading(layers={layer.path: layer for layer in layers}, width=features, flattens=flattens)
    for layer in steps[1:last]:
        reading.take(layer)
    return reading.result(steps[last], tail=steps[last + 1 :])


@dataclass(kw_only=True)
class _Reading:
    """Goes through the layers of a configuration, and finds those of the file."""

    layers: dict[str, LayerTensors]
    """Those that were not met yet, by path."""
    width: int
    flattens: bool
    """Whether a layer on the way makes (N, C) of (N, 1, 1, C)."""
    keeps_axes: bool = False
    """Whether the logits are (N, 1, 1, classes), which are the same ones: every layer works on the last axis."""
    pooling: Pooling | None = None
    hidden: list[HiddenLayer] = field(default_factory=list[HiddenLayer])
    taken: list[LayerTensors] = field(default_factory=list[LayerTensors])
    noted: list[str] = field(default_factory=list[str])

    def take(self, layer: Layer) -> None:
        """The next layer before the last dense one. Raises `NoSmallHead` for one that no head can have."""
        if layer.kind in IN_TRAINING_ONLY and (layer.kind != "Dropout" or self.pooling is None):
            self.noted.append(f"left out {_named(layer)}, which acts in training only")
        elif self.pooling is None:
            self._pool(layer)
        elif layer.kind == "Dropout":
            rate = _number(layer, "rate")
            if not 0 <= rate < 1:
                raise NoSmallHead(f"{_named(layer)} has the rate {rate:g}")
            self.hidden.append(HiddenDropout(dropout_rate=rate))
        elif layer.kind == "Dense":
            self.hidden.append(self._dense(layer, _inner_activation(layer)))
        elif layer.kind == "BatchNormalization":
            self.hidden.append(self._norm(layer))
        elif (activation := _activation_of(layer)) is not None:
            self.hidden.append(HiddenActivation(activation=activation))
        else:
            raise NoSmallHead(f"the model's configuration has {_named(layer)}, which no definition has")

    def _pool(self, layer: Layer) -> None:
        if layer.kind not in POOLING:
            raise NoSmallHead(f"the model's configuration has {_named(layer)} in the place of a global pooling")
        self.pooling = POOLING[layer.kind]
        self.keeps_axes = bool(layer.config.get("keepdims")) and not self.flattens

    def _dense(self, layer: Layer, activation: Activation | None) -> HiddenDense:
        found = self._tensors(layer)
        if not isinstance(found, DenseTensors) or found.inputs != self.width:
            raise NoSmallHead(f"{found.path} is no dense layer that takes {self.width} channels, as it is configured")
        self.width = found.outputs
        has_bias = Role.BIAS in found.tensors
        return HiddenDense(
            in_channels=found.inputs, out_channels=found.outputs, activation=activation, has_bias=has_bias
        )

    def _norm(self, layer: Layer) -> HiddenNorm:
        found = self._tensors(layer)
        if not isinstance(found, NormTensors) or found.channels != self.width:
            raise NoSmallHead(f"{found.path} is no norm of {self.width} channels, as it is configured")
        epsilon, decay = _number(layer, "epsilon"), _number(layer, "momentum")
        if not (epsilon > 0 and 0 <= decay <= 1):
            raise NoSmallHead(f"{_named(layer)} has epsilon {epsilon:g} and momentum {decay:g}")
        return HiddenNorm(channels=self.width, epsilon=epsilon, decay=decay)

    def _tensors(self, layer: Layer) -> LayerTensors:
        last = layer.path.rpartition("/")[2]
        paths = [path for path in self.layers if path.rpartition("/")[2] == last]
        if len(paths) != 1:
            raise NoSmallHead(f"the model's configuration has {_named(layer)}, which is not in the file")
        found = self.layers.pop(paths[0])
        self.taken.append(found)
        return found

    def result(self, last: Layer, *, tail: Sequence[Layer]) -> StatedHead:
        """What was read, with the last dense layer and what follows it."""
        if self.pooling is None:
            raise NoSmallHead("the model's configuration has no global pooling behind the network")
        ends = [name for layer in (last, *tail) if (name := _function(layer)) != _LINEAR]
        if any(name not in _OF_PROBABILITIES for name in ends) or len(ends) > 1:
            raise NoSmallHead(
                f"the model's configuration has {', '.join(map(ascii, ends))} behind the last dense layer"
            )
        self._dense(last, None)
        if self.layers:
            raise NoSmallHead(f"the model's configuration has no layer {', '.join(self.layers)} behind the network")
        before = self.hidden[-1] if self.hidden else None
        if self.keeps_axes:
            self.noted.append("the logits are (N, classes), without the axes of length 1 that keepdims leaves there")
        noted = [*self.noted, *(f"the logits are what {name} takes" for name in ends)]
        return StatedHead(
            pooling=self.pooling,
            hidden=tuple(self.hidden[:-1] if isinstance(before, HiddenDropout) else self.hidden),
            dropout_rate=before.dropout_rate if isinstance(before, HiddenDropout) else 0.0,
            layers=tuple(self.taken),
            note=f"The rest of the head is as the model's configuration says{''.join(f'; {note}' for note in noted)}.",
        )


def _function(layer: Layer) -> str:
    """The name of the function that a layer applies to its result; of one without, its class."""
    if layer.kind == "Softmax":
        return "softmax"
    if layer.kind not in ("Activation", "Dense"):
        return layer.kind
    found = layer.config.get("activation")
    if isinstance(found, dict):  # an object of a class, or a function that is registered
        found = cast("Mapping[str, object]", found).get("class_name")
    return _LINEAR if found is None else str(found)


def _activation_of(layer: Layer) -> Activation | None:
    """The non-linearity that a layer of its own is; None for any other layer."""
    if layer.kind == "Activation":
        return ACTIVATIONS.get(_function(layer))
    if layer.kind != "ReLU" or any(layer.config.get(name) for name in ("negative_slope", "threshold")):
        return None
    return {None: Activation.RELU, 6: Activation.RELU6}.get(layer.config.get("max_value"))


def _inner_activation(layer: Layer) -> Activation | None:
    name = _function(layer)
    if name != _LINEAR and name not in ACTIVATIONS:
        raise NoSmallHead(f"the model's configuration has {_named(layer)} with {name!a}, which no definition has")
    return ACTIVATIONS.get(name)


def _number(layer: Layer, name: str) -> float:
    """A number of a layer's configuration."""
    value = layer.config.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise NoSmallHead(f"{_named(layer)} has {value!a:.40} as its {name}")
    return float(value)


def _named(layer: Layer) -> str:
    return f"{layer.kind} {layer.path}"[:200]
