"""What the configuration of a Keras model says of the layers inside a network.

Files of whole models hold it. keras.applications' own functions take the activation as an argument, and any value can
be set in a configuration, so that names and shapes may be a published network's where its function is not.

Source: keras/src/applications/efficientnet.py and efficientnet_v2.py, keras/src/activations/__init__.py, version 3.15.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import cast

from converters.dialects.dialect import Configured
from converters.dialects.json_fields import number
from converters.errors import some_of
from converters.keras_json import Layer
from converters.keras_models.any_size import built_for_any_size
from converters.keras_models.classes import ACTIVATIONS, IDLE
from converters.keras_models.config import layers_beside
from converters.keras_models.end import advice, cut_short, last_layer
from converters.keras_models.geometry import Convolution, convolutions_of, with_geometry
from converters.keras_models.graph import graph_of
from converters.keras_models.image import Image, image_before
from converters.keras_models.wiring import wiring
from converters.names.matching import Recognised
from converters.names.naming import entries
from effnet_core import Activation, FusedMBConv, NetworkSpec, Parameter, Role, norm_of, without_classifier

_LAYERS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "PReLU": "prelu", "ELU": "elu"}
"""Classes that are an activation themselves."""
_OTHERS = frozenset(
    {
        *("celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish"),
        *("hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "prelu", "relu", "relu6", "selu"),
        *("sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparsemax"),
        *("squareplus", "swish", "tanh", "tanh_shrink", "threshold"),
    }
)
"""Keras' own names; what a function of another name computes is not known here."""
_REDUCE, _EXPAND = "squeeze_excite.reduce", "squeeze_excite.expand"
_LINEAR_LAYERS = frozenset(
    {"Add", "Conv2D", "DepthwiseConv2D", "GlobalAveragePooling2D", "Identity", "Multiply", "Reshape", "ZeroPadding2D"}
)
"""Layers that networks have, and that are no activation."""
_LONGEST_NAME = 80
_MOST_SHOWN = 6
_LINEAR = "linear"
_FOLDED = (
    "The norms are folded into the convolutions, and the model's configuration is not compared with the network: its "
    "strides, padding and activations are taken to be the usual ones."
)
_ACTIVATED = frozenset({"stem.norm", "expand.norm", "depthwise.norm", "head.norm"})


def with_layers(
    said: Configured,
    recognised: Recognised,
    shapes: Mapping[str, tuple[int, ...]],
    text: str,
    *,
    accept_different_logits: bool,
) -> Configured:
    """The network with the epsilon, the strides and the padding that the configuration `text` says; why it has no
    definition, where it ends too early, has several epsilons, or another activation, wiring or dilation than its
    variant, or pads for other images than its model gives it, unless `accept_different_logits`.

    `shapes` are those of the file's tensors. Where they are not the network's, others say so, and nothing is said here.
    """
    end = last_layer(recognised, said.spec)
    beside, graph = layers_beside(text, end), graph_of(text)
    last = None if graph is None else graph.find(end)
    if beside is None or graph is None or last is None or said.refusal is not None:
        return said
    if said.spec.norm is None:
        return said._replace(notes=(*said.notes, _FOLDED))
    layers = {_last(layer.path): layer for layer, _ in beside}
    before = {_last(layer.path): names for layer, names in beside}
    following = graph.following(last, passing=IDLE)
    body = _Body(said.spec, layers, before, behind={_last(end): following.layers})
    dialect = recognised.dialect
    is_whole = True
    for entry in entries(dialect, without_classifier(said.spec), scope=recognised.scope):
        if entry.name in shapes and prod(shapes[entry.name]) != entry.parameter.size:
            return said
        name = _last(entry.name.rpartition(dialect.separator)[0])
        if name in layers:
            body.look(entry.parameter, name)
        else:
            is_whole = False
    convolutions = convolutions_of(said.spec, recognised, beside)
    image = image_before(text, recognised.prefix + dialect.layers["stem.conv"], list(layers.values()))
    may_be_symmetric = dialect.meaning(said.spec.name, said.spec.family) is None
    geometry = with_geometry(said.spec, convolutions, image, may_be_symmetric=may_be_symmetric)
    wrong = [f"the activation {name} behind {some_of(where)}" for name, where in body.others.items()]
    wrong += geometry.wrong
    notes = [
        f"The model's configuration has the activation {name[:_LONGEST_NAME]!a} behind {some_of(where)}, which is not "
        f"known here: taken for {said.spec.stem.activation}."
        for name, where in body.unknown.items()
    ]
    if is_whole:
        ends = _last(dialect.layers["stem.conv"]), _last(end)
        found = wiring(said.spec, layers, before, own=frozenset(body.own), ends=ends)
        wrong += found.wrong
        if found.unknown:
            notes.append(
                f"The model's configuration has {some_of(found.unknown)} inside the network, and what they do is not "
                f"known here: read as {said.spec.name}."
            )
    said = said._replace(spec=geometry.spec, notes=(*said.notes, *geometry.notes, *notes))
    cut = cut_short(said.spec, last, following)
    said = _judged(said, body.epsilons, wrong) if cut is None else said._replace(refusal=cut)
    return _at_any_size(said, convolutions, image, is_accepted=accept_different_logits)


def _at_any_size(
    said: Configured, convolutions: Sequence[Convolution], image: Image, *, is_accepted: bool
) -> Configured:
    """The same, where a network that was built for images of any size is given some with odd sides, or may be."""
    size = None if said.refusal is not None else built_for_any_size(said.spec, convolutions, image)
    if size is None:
        return said
    if size.odd and not is_accepted:
        return said._replace(refusal=size.refusal(said.spec))
    return said._replace(notes=(*said.notes, size.note(is_accepted=is_accepted)))


class _Body:
    """What the configuration says of the layers that hold a network's tensors, gathered one by one."""

    def __init__(
        self,
        spec: NetworkSpec,
        layers: Mapping[str, Layer],
        before: Mapping[str, frozenset[str]],
        *,
        behind: Mapping[str, Sequence[Layer]],
    ) -> None:
        """`before` names the layers whose results each takes; `behind` are those that take the results of layers at the
        end of the model, which may stand in models around it.
        """
        self._spec = spec
        self._layers = layers
        self._behind: dict[str, list[Layer]] = {}
        for name, those in before.items():
            for one in those:
                self._behind.setdefault(one, []).append(layers[name])
        self._behind |= {name: list(following) for name, following in behind.items()}
        self.own: set[str] = set()
        self.epsilons: dict[float, str] = {}
        """Each with a layer that has it; 0 for what is none."""
        self.others: dict[str, list[str]] = {}
        """Activations that the network has not, each with the layers where they stand."""
        self.unknown: dict[str, list[str]] = {}
        """Those of which nobody knows here what they compute."""

    def look(self, parameter: Parameter, name: str) -> None:
        """Look at the layer of a tensor."""
        layer = self._layers[name]
        self.own.add(name)
        if parameter.role not in (Role.CONV, Role.DEPTHWISE, Role.VARIANCE):
            return
        if parameter.role is Role.VARIANCE and "epsilon" in layer.config:
            self.epsilons.setdefault(number(layer.config["epsilon"]) or 0.0, name)
        wanted, following = _wanted(parameter, self._spec), self._behind.get(name, [])
        found = _functions(layer, following)
        if parameter.role is Role.VARIANCE and wanted == _LINEAR and len(found) < len(following):
            return  # something takes the result as it is
        if not found and wanted != _LINEAR and following and all(one.kind in _LINEAR_LAYERS for one in following):
            found = [_LINEAR]
        if not found and parameter.part == "head.norm":
            found = [one.kind for one in following[:1]]
        if not found or wanted in found:
            return
        known = all(one in _OTHERS for one in found)
        (self.others if known else self.unknown).setdefault(str(found[0]), []).append(name)


def _judged(said: Configured, epsilons: Mapping[float, str], wrong: list[str]) -> Configured:
    spec = said.spec
    norm = norm_of(spec, wanted="an epsilon")
    notes = said.notes
    if len(epsilons) > 1 or 0.0 in epsilons:
        wrong.append("epsilons " + ", ".join(f"{value:g} in {name}" for value, name in list(epsilons.items())[:4]))
    elif epsilons and norm.epsilon not in epsilons:
        [epsilon] = epsilons
        spec = replace(spec, norm=replace(norm, epsilon=epsilon))
        notes += (f"The model's configuration has norms with epsilon {epsilon:g}, and so the network is taken.",)
    if not wrong:
        return said._replace(spec=spec, notes=notes)
    return said._replace(
        refusal=(
            f"the model's configuration has {'; '.join(wrong[:_MOST_SHOWN])}"
            f"{f' and {len(wrong) - _MOST_SHOWN} more' if len(wrong) > _MOST_SHOWN else ''}: that is not {spec.name}, "
            f"which has the activation {spec.stem.activation}, one epsilon ({norm.epsilon:g}), {spec.padding} padding, "
            "strides at the start of its stages and no dilation. Give the definition of its network with --spec "
            f"FILE.json; {advice(spec)}, and as it is reads the file as that network in spite of this."
        )
    )


def _wanted(parameter: Parameter, spec: NetworkSpec) -> Activation | str:
    """What the network applies behind a convolution, before its norm, or behind a norm."""
    block = None if parameter.block is None else spec.blocks[parameter.block]
    if parameter.role is not Role.VARIANCE:
        gates = {} if block is None else {_REDUCE: block.activation, _EXPAND: "sigmoid"}
        return gates.get(parameter.part, _LINEAR)
    is_fused = isinstance(block, FusedMBConv) and not block.has_expansion and parameter.part == "project.norm"
    if parameter.part not in _ACTIVATED and not is_fused:
        return _LINEAR
    return spec.stem.activation if block is None else block.activation


def _functions(layer: Layer, behind: Sequence[Layer]) -> list[Activation | str]:
    """The activations that a layer has itself, or else those of the layers that take its result."""
    own = _name(layer.config.get("activation"))
    if own not in (None, _LINEAR):
        return [ACTIVATIONS.get(own, own)]
    names = [_function(following) for following in behind]
    return [ACTIVATIONS.get(name, name) for name in names if name is not None]


def _function(layer: Layer) -> str | None:
    """The activation that a layer is."""
    if layer.kind == "Activation":
        return _name(layer.config.get("activation"))
    if layer.kind == "ReLU" and layer.config.get("max_value") == 6:
        return "relu6"
    return _LAYERS.get(layer.kind)


def _name(value: object) -> str | None:
    """The name of a function, which Keras writes as an object where it was given as one."""
    if isinstance(value, dict):
        fields = cast("Mapping[str, object]", value)
        value = fields.get("config") if fields.get("class_name") == "function" else fields.get("class_name")
    return value if isinstance(value, str) else None


def _last(path: str) -> str:
    return path.rpartition("/")[2]
