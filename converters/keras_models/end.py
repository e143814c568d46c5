"""Where a Keras model ends, by its configuration: a network may have been cut before its own end, or go on behind it.

Tensors do not tell: an activation has none, nor has the sum that ends a block.
"""

from __future__ import annotations

from collections.abc import Sequence

from converters.errors import some_of
from converters.keras_json import Layer
from converters.keras_models.classes import IDLE, POOLING, PRODUCT, SUM
from converters.keras_models.graph import Following, graph_of
from converters.keras_models.wiring import is_known
from converters.names.matching import Recognised
from converters.names.naming import entries
from effnet_core import NetworkSpec, without_classifier

_SAME_NUMBERS = frozenset({"Flatten", "Reshape"})
_INSIDE = frozenset({"Conv2D", "DepthwiseConv2D", PRODUCT})
_LONGEST_NAME = 80


def last_layer(recognised: Recognised, spec: NetworkSpec) -> str:
    """The path of the last layer with tensors before a network's pooling."""
    dialect = recognised.dialect
    *_, last = entries(dialect, without_classifier(spec), scope=recognised.scope)
    return recognised.prefix + last.name.rpartition(dialect.separator)[0]


def cut_short(spec: NetworkSpec, last: Layer, following: Following) -> str | None:
    """Why a model that has `following` behind the last layer of a network is not that network; None where it may be."""
    if spec.head is not None:
        expected = f"the activation {spec.head.activation} behind it"
        is_there = bool(following.layers)
    elif spec.blocks[-1].has_residual:
        expected = f"the layer {SUM} behind it, with which the last block ends"
        is_there = any(layer.kind == SUM or not is_known(layer) for layer in following.layers)
    else:
        return None
    if is_there:
        return None
    return (
        f"the model in the file ends at {named(last)}; expected {expected}, as {spec.name} has it. No definition ends "
        "there, and the network would give other features. Save a model that ends further behind (features, pooled "
        "features, logits or probabilities). To take the network with what is missing, give its definition with --spec "
        f"FILE.json; {advice(spec)}."
    )


def advice(spec: NetworkSpec) -> str:
    """Where to get a definition to be changed."""
    return (
        f"`effnet info {spec.name} --width {spec.width:g} --depth {spec.depth:g} --json` prints one to be changed, its "
        'preprocessing too (without classifier: "classifier": null)'
    )


def behind_features(way: Sequence[Layer]) -> str:
    """What a model does with the features of its network that no network without classifier does; `way` are the layers
    behind the last one with tensors. Empty where there is nothing of the sort.
    """
    steps = [layer for layer in way if layer.kind not in IDLE]
    rest = steps[1:] if steps and steps[0].kind in ("Activation", "ReLU", SUM) else steps
    if rest and rest[0].kind in POOLING:
        rest = [layer for layer in rest[1:] if layer.kind not in _SAME_NUMBERS]
    if not rest:
        return ""
    return f" Behind these features the model has {some_of(map(named, rest))}, which {_is(rest)} left out."


def unusual_end(text: str) -> str:
    """That a model ends with a layer that no network ends with; empty where it does not."""
    graph = graph_of(text)
    found = [] if graph is None else [layer for layer in graph.outputs if layer.kind in _INSIDE]
    return f"By its configuration the model ends at {some_of(map(named, found))}: no network does. " if found else ""


def _is(layers: Sequence[Layer]) -> str:
    return "is" if len(layers) == 1 else "are"


def named(layer: Layer) -> str:
    """A layer for a message."""
    return f"{layer.kind} {layer.path}"[:_LONGEST_NAME]
