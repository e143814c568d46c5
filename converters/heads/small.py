"""A small head that somebody has put behind a network: its definition, and whose tensors are whose.

Weights tell dense layers and norms. What stands between them (activations, dropout), the pooling, and the epsilon of
norms come from the model's configuration where the file has one. A Keras file without it may list layers without
tensors, which tell the pooling and whether there are layers that no head has; else what is usual is assumed, and said.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from converters.dialects.dialect import TORCH_LEAVES, Dialect
from converters.errors import some_of
from converters.heads.configured import KerasModel, StatedHead, stated_head
from converters.heads.implied import check_whole
from converters.heads.layers import (
    DenseTensors,
    LayerTensors,
    NoSmallHead,
    UnclearHead,
    in_forward_order,
    layers_among,
    rooms,
)
from converters.keras_models.behind import ListedBehind
from converters.options import NO_ACTIVATION
from effnet_core import (
    Activation,
    Classifier,
    HiddenActivation,
    HiddenDense,
    HiddenLayer,
    HiddenNorm,
    InvalidOption,
    Parameter,
    Pooling,
    Role,
)
from effnet_core.parameters import LEAVES, classifier_parameters

_ACTIVATION = Activation.RELU
"""What is assumed where a new head stands in the place of a network's own classifier."""
_GUESS = (
    f"The activation between the head's dense layers is a guess, {_ACTIVATION}: with another one the logits differ. "
    "Say which it is with --head-activation; where it is none of those offered, leave the head out with --drop-head."
)
_OTHERWISE = (
    "If the model is another one, say what stands between dense layers (--head-activation none, relu, swish, ...), "
    "correct the definition (effnet info FILE --json prints it) and give it with --spec "
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
    listed: ListedBehind | None,
    keeps_order: bool,
    own: Collection[str],
    wanted: str | None,
) -> SmallHead:
    """The head that these tensors are; their names and shapes are the file's, leaves and layouts the dialect's.

    `published` is what the network has without any of this: the features that a head takes, its dropout; `activation`
    gives these features. `model` is that of a Keras file, `listed` what such a file lists without a configuration.
    `keeps_order` says that the file lists layers in forward order. `own` are the tensors of the network's own
    classifier; `wanted` is what the user says about the activation between dense layers
    (`SourceOptions.head_activation`). Raises `NoSmallHead`, and `UnclearHead` where dense layers stand behind the
    network's own classifier and nobody says what is between; `InvalidOption` where `wanted` says what has no place or
    is known; `LacksImplied` where the file is to be read with more tensors.
    """
    among, features = layers_among(shapes, dialect), published.in_channels
    if model is not None:
        stated = stated_head(model, among, activation=activation, features=features)
        if stated is not None and wanted is not None:
            raise InvalidOption(
                f"--head-activation is {wanted!r}, and the model's configuration says what stands between dense "
                "layers. Leave it out, or correct the definition (--spec)."
            )
        if stated is not None:
            return _as_stated(stated, dialect)
    layers = in_forward_order(among, features=features, keeps_order=keeps_order)
    last = _classifier_of(layers, dialect, is_stated=False)
    is_torch = dialect.leaves[Role.MEAN] == TORCH_LEAVES[Role.MEAN]
    places = _between_dense(layers, after_norms=is_torch)
    if wanted is None:
        _check_clear(layers, own)
    elif not places:
        raise InvalidOption(
            f"--head-activation is {wanted!r}, and the head has no two dense layers with room between. Leave it out."
        )
    if listed is not None and listed.refusal is not None:
        raise NoSmallHead(listed.refusal)
    hidden, assumed = _assumed_layers(layers, places, wanted, listed, is_torch=is_torch)
    guess = (_GUESS,) if places and wanted is None else ()
    classifier = Classifier(
        in_channels=last.inputs,
        num_classes=last.outputs,
        label_offset=0,
        dropout_rate=published.dropout_rate,
        pooling=Pooling.AVERAGE if listed is None or listed.pooling is None else listed.pooling,
        hidden=tuple(hidden),
    )
    return SmallHead(classifier=classifier, names=_names(classifier, layers), notes=(*guess, _taken(layers), assumed))


def _as_stated(stated: StatedHead, dialect: Dialect) -> SmallHead:
    last = _classifier_of(stated.layers, dialect, is_stated=True)
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
    """The same where the definition is known. Raises `NoSmallHead` where the tensors are not those that it has,
    and `LacksImplied` where the file is to be read with more.
    """
    layers = in_forward_order(layers_among(shapes, dialect), features=features, keeps_order=keeps_order)
    _classifier_of(layers, dialect, is_stated=True)
    wanted = [(parameter.role, parameter.shape) for parameter in classifier_parameters(classifier)]
    found = [(role, shape) for layer in layers for role, shape in _canonical(layer)]
    if found != wanted:
        raise NoSmallHead(f"the definition has {_shapes(wanted)} behind the pooling, the file {_shapes(found)}")
    return SmallHead(classifier=classifier, names=_names(classifier, layers), notes=(_taken(layers),))


def _classifier_of(layers: Sequence[LayerTensors], dialect: Dialect, *, is_stated: bool) -> DenseTensors:
    """The last of the layers. Raises `NoSmallHead` for a norm, `LacksImplied` for tensors that layers do without."""
    last = layers[-1]
    if not isinstance(last, DenseTensors):
        raise NoSmallHead(f"{last.path}, a norm, is the last of them; expected a dense layer that gives the classes")
    check_whole(layers, dialect, is_stated=is_stated)
    return last


def _check_clear(layers: Sequence[LayerTensors], own: Collection[str]) -> None:
    """Raise `UnclearHead` for dense layers behind a classifier that was whole without them.

    Some add them to its probabilities, some to its logits, some to these with an activation between: no one of these is
    usual, and each gives other results. Where layers of one numbered container follow, it is a new head.
    """
    room = rooms(layers)
    dense = [place for place, layer in enumerate(layers) if isinstance(layer, DenseTensors)]
    for start, end in pairwise(dense):
        first, second = layers[start], layers[end]
        is_own = any(name in own for name in first.tensors.values())
        if is_own and all(room[place] is None for place in range(start, end)):
            raise UnclearHead(
                f"Behind the network's own classifier, {first.path} ({first.inputs} to {first.outputs}), stands "
                f"{second.path} ({second.inputs} to {second.outputs}). Weights do not tell what is between. Expected "
                "the model's configuration, or your word: --head-activation none where the logits go "
                "on as they are, --head-activation relu (or another) where there is one, in Python "
                "SourceOptions(head_activation=...). Of a model that goes on from probabilities, convert the network "
                "alone: --head-activation none --drop-head."
            )


def _assumed_layers(
    layers: Sequence[LayerTensors],
    places: Sequence[int],
    wanted: str | None,
    listed: ListedBehind | None,
    *,
    is_torch: bool,
) -> tuple[list[HiddenLayer], str]:
    """The layers before the last, with what usually stands between them or is said to, and the sentence that says it.

    `places` are the layers behind which an activation would stand.
    """
    epsilon, decay = (1e-5, 0.9) if is_torch else (1e-3, 0.99)
    activation = _ACTIVATION if wanted is None else None if wanted == NO_ACTIVATION else Activation(wanted)
    activated = set[int]() if activation is None else {*places}
    hidden: list[HiddenLayer] = []
    for place, layer in enumerate(layers[:-1]):
        if isinstance(layer, DenseTensors):
            hidden.append(
                HiddenDense(
                    in_channels=layer.inputs,
                    out_channels=layer.outputs,
                    activation=activation if place in activated else None,
                    has_bias=Role.BIAS in layer.tensors,
                )
            )
            continue
        hidden.append(HiddenNorm(channels=layer.channels, epsilon=epsilon, decay=decay))
        if place in activated and activation is not None:
            hidden.append(HiddenActivation(activation=activation))
    between = f"{activation or 'no activation'} behind {', '.join(layers[place].path for place in places)}"
    assumed = ["average pooling"] if listed is None or listed.pooling is None else []
    if places and wanted is None:
        assumed.append(between)
    if any(isinstance(layer, HiddenNorm) for layer in hidden):
        assumed.append(f"norms with epsilon {epsilon:g}")
    said = "" if wanted is None else f"As you said, there is {between}. "
    told = "" if listed is None else _told(listed)
    rest = ", ".join(assumed) or "nothing else"
    return hidden, f"{said}{told}Weights do not tell the rest of a head: assumed {rest}. {_OTHERWISE}"


def _told(listed: ListedBehind) -> str:
    """What the layers that a file lists tell of a head, and those that tell nothing of what they compute there."""
    pooling = "" if listed.pooling is None else f"By the layers that the file lists there is {listed.pooling} pooling. "
    if not listed.unclear:
        return pooling
    return f"{pooling}The file lists {some_of(listed.unclear)} too, and not what that computes or where it stands. "


def _between_dense(layers: Sequence[LayerTensors], *, after_norms: bool) -> list[int]:
    """The layers behind which an activation may stand: one between each two dense layers, unless nothing fits there.

    A container of PyTorch numbers its layers, those without tensors too: there must be room. Where norms follow, it is
    usual behind them in PyTorch, and in the dense layer itself in Keras unless that has no bias: then it was made for
    the norm.
    """
    room = rooms(layers)
    dense = [place for place, layer in enumerate(layers) if isinstance(layer, DenseTensors)]
    found: list[int] = []
    for first, second in pairwise(dense):
        between = range(first, second)
        with_room = [place for place in between if room[place] != 0]
        if not with_room:
            continue
        known = [place for place in with_room if room[place] is not None]
        is_behind = after_norms or Role.BIAS not in layers[first].tensors
        found.append(known[0] if known else with_room[-1 if is_behind else 0])
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
