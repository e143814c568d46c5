"""A small head that somebody has put behind a network: its definition, and whose tensors are whose.

Weights tell dense layers and norms. What stands between them (activations, dropout), the pooling, and the epsilon of
norms come from the model's configuration where the file has one; else what is usual is assumed, and said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from converters.dialects.dialect import TORCH_LEAVES, Dialect
from converters.head_layers import DenseTensors, LayerTensors, NoSmallHead, in_forward_order, layers_among, rooms
from converters.keras_heads import KerasModel, StatedHead, stated_head
from effnet_core import (
    Activation,
    Classifier,
    HiddenActivation,
    HiddenDense,
    HiddenLayer,
    HiddenNorm,
    Parameter,
    Role,
)
from effnet_core.parameters import LEAVES, classifier_parameters

_ACTIVATION = Activation.RELU
_OTHERWISE = (
    "If the model is another one, correct the definition (effnet info FILE --json prints it) and give it with --spec "
    "FILE.json, or leave the head out with --drop-head."
)


@dataclass(frozen=True, kw_only=True)
class SmallHead:
    """A head behind a network."""

    classifier: Classifier
    names: Mapping[str, str]
    """Canonical name to the name in the file, for the tensors of hidden layers and classifier."""
    notes: tuple[str, ...]
    """What was taken and what was assumed, a sentence each."""


def find_small_head(
    shapes: Mapping[str, tuple[int, ...]],
    *,
    dialect: Dialect,
    published: Classifier,
    activation: Activation,
    model: KerasModel | None,
    keeps_order: bool,
) -> SmallHead:
    """The head that these tensors are; their names and shapes are the file's, leaves and layouts the dialect's.

    `published` is what the network has without any of this: the features that a head takes, its dropout; `activation`
    gives these features. `model` is that of a Keras file. `keeps_order` says that the file lists layers in
    forward order. Raises `NoSmallHead`.
    """
    among, features = layers_among(shapes, dialect), published.in_channels
    if model is not None:
        stated = stated_head(model, among, activation=activation, features=features)
        if stated is not None:
            return _as_stated(stated)
    layers = in_forward_order(among, features=features, keeps_order=keeps_order)
    last = _classifier_of(layers)
    hidden, assumed = _assumed_layers(layers, is_torch=dialect.leaves[Role.MEAN] == TORCH_LEAVES[Role.MEAN])
    classifier = Classifier(
        in_channels=last.inputs,
        num_classes=last.outputs,
        label_offset=0,
        dropout_rate=published.dropout_rate,
        hidden=tuple(hidden),
    )
    return SmallHead(classifier=classifier, names=_names(classifier, layers), notes=(_taken(layers), assumed))


def _as_stated(stated: StatedHead) -> SmallHead:
    last = _classifier_of(stated.layers)
    classifier = Classifier(
        in_channels=last.inputs,
        num_classes=last.outputs,
        label_offset=0,
        dropout_rate=stated.dropout_rate,
        pooling=stated.pooling,
        hidden=stated.hidden,
    )
    names = _names(classifier, stated.layers)
    return SmallHead(classifier=classifier, names=names, notes=(_taken(stated.layers), stated.note))


def fitted_head(
    shapes: Mapping[str, tuple[int, ...]], *, dialect: Dialect, classifier: Classifier, features: int, keeps_order: bool
) -> SmallHead:
    """The same where the definition is known. Raises `NoSmallHead` where the tensors are not those that it has."""
    layers = in_forward_order(layers_among(shapes, dialect), features=features, keeps_order=keeps_order)
    wanted = [(parameter.role, parameter.shape) for parameter in classifier_parameters(classifier)]
    found = [(role, shape) for layer in layers for role, shape in _canonical(layer)]
    if found != wanted:
        raise NoSmallHead(f"the definition has {_shapes(wanted)} behind the pooling, the file {_shapes(found)}")
    return SmallHead(classifier=classifier, names=_names(classifier, layers), notes=(_taken(layers),))


def _classifier_of(layers: Sequence[LayerTensors]) -> DenseTensors:
    last = layers[-1]
    if not isinstance(last, DenseTensors):
        raise NoSmallHead(f"{last.path}, a norm, is the last of them; expected a dense layer that gives the classes")
    if Role.BIAS not in last.tensors:
        raise NoSmallHead(f"{last.path}, the last of them, has no bias")
    return last


def _assumed_layers(layers: Sequence[LayerTensors], *, is_torch: bool) -> tuple[list[HiddenLayer], str]:
    """The layers before the last, with what usually stands between them, and the sentence that says it."""
    epsilon, decay = (1e-5, 0.9) if is_torch else (1e-3, 0.99)
    activated = _activated(layers, after_norms=is_torch)
    hidden: list[HiddenLayer] = []
    for place, layer in enumerate(layers[:-1]):
        if isinstance(layer, DenseTensors):
            hidden.append(
                HiddenDense(
                    in_channels=layer.inputs,
                    out_channels=layer.outputs,
                    activation=_ACTIVATION if place in activated else None,
                    has_bias=Role.BIAS in layer.tensors,
                )
            )
            continue
        hidden.append(HiddenNorm(channels=layer.channels, epsilon=epsilon, decay=decay))
        if place in activated:
            hidden.append(HiddenActivation(activation=_ACTIVATION))
    assumed = ["average pooling"]
    if activated:
        assumed.append(f"{_ACTIVATION} behind {', '.join(layers[place].path for place in sorted(activated))}")
    if any(isinstance(layer, HiddenNorm) for layer in hidden):
        assumed.append(f"norms with epsilon {epsilon:g}")
    return hidden, f"Weights do not tell the rest of a head: assumed {', '.join(assumed)}. {_OTHERWISE}"


def _activated(layers: Sequence[LayerTensors], *, after_norms: bool) -> set[int]:
    """The layers behind which an activation is assumed: one between each two dense layers, unless nothing fits there.

    A container of PyTorch numbers its layers, those without tensors too: there must be room. Where norms follow, it is
    usual behind them in PyTorch, and in the dense layer itself in Keras.
    """
    room = rooms(layers)
    dense = [place for place, layer in enumerate(layers) if isinstance(layer, DenseTensors)]
    found: set[int] = set()
    for first, second in pairwise(dense):
        between = range(first, second)
        with_room = [place for place in between if room[place] != 0]
        if not with_room:
            continue
        known = [place for place in with_room if room[place] is not None]
        found.add(known[0] if known else with_room[-1 if after_norms else 0])
    return found


def _names(classifier: Classifier, layers: Sequence[LayerTensors]) -> dict[str, str]:
    by_layer: dict[str, list[Parameter]] = {}
    for parameter in classifier_parameters(classifier):
        by_layer.setdefault(parameter.layer, []).append(parameter)
    return {
        parameter.name: layer.tensors[parameter.role]
        for layer, listed in zip(layers, by_layer.values(), strict=True)
        for parameter in listed
    }


def _canonical(layer: LayerTensors) -> list[tuple[Role, tuple[int, ...]]]:
    if isinstance(layer, DenseTensors):
        shapes = {Role.DENSE: (layer.inputs, layer.outputs), Role.BIAS: (layer.outputs,)}
        return [(role, shape) for role, shape in shapes.items() if role in layer.tensors]
    return [(role, (layer.channels,)) for role in layer.tensors]


def _shapes(found: Sequence[tuple[Role, tuple[int, ...]]]) -> str:
    return ", ".join(f"{LEAVES[role]} {shape}" for role, shape in found)


def _taken(layers: Sequence[LayerTensors]) -> str:
    parts = [
        f"{layer.path} (dense, {layer.inputs} to {layer.outputs})"
        if isinstance(layer, DenseTensors)
        else f"{layer.path} (norm of {layer.channels})"
        for layer in layers
    ]
    return f"Behind the network stands a head, which is taken too: {', '.join(parts)}."
