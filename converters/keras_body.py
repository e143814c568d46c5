"""What the configuration of a Keras model says of the layers inside a network.

Files of whole models hold it. keras.applications' own functions take the activation as an argument, and any value can
be set in a configuration, so that names and shapes may be a published network's where its function is not.

Source: keras/src/applications/efficientnet.py and efficientnet_v2.py, keras/src/activations/__init__.py, version 3.15.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

from converters.dialects._json_fields import number
from converters.dialects.dialect import Configured
from converters.errors import some_of
from converters.keras_config import Layer, layers_beside
from converters.keras_geometry import Convolution, with_strides
from converters.keras_heads import ACTIVATIONS
from converters.naming import entries
from converters.recognition import Recognised
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
_LOOKED_AT = frozenset({Role.VARIANCE, Role.CONV, Role.DEPTHWISE})
_MOST_SHOWN = 6
_LINEAR = "linear"
_ACTIVATED = frozenset({"stem.norm", "expand.norm", "depthwise.norm", "head.norm"})


def with_layers(said: Configured, recognised: Recognised, text: str) -> Configured:
    """The network with the epsilon and the strides that the configuration `text` says; why it has no definition, where
    it has several epsilons, or another activation, padding or dilation than its variant.
    """
    beside = layers_beside(text, recognised.prefix + recognised.dialect.layers["head.norm"])
    if beside is None or said.refusal is not None:
        return said
    layers = {_last(layer.path): layer for layer, _ in beside}
    before = {_last(layer.path): [layers[name] for name in names if name in layers] for layer, names in beside}
    behind: dict[str, list[Layer]] = {}
    for name, those in before.items():
        for layer in those:
            behind.setdefault(_last(layer.path), []).append(layers[name])
    body = without_classifier(said.spec)
    epsilons: dict[float, str] = {}
    others: dict[str, list[str]] = {}
    convolutions: list[Convolution] = []
    for entry in entries(recognised.dialect, body, scope=recognised.scope):
        parameter, name = entry.parameter, _last(entry.name.rpartition(recognised.dialect.separator)[0])
        layer = layers.get(name)
        if layer is None or parameter.role not in _LOOKED_AT:
            continue
        if parameter.role is not Role.VARIANCE:
            convolutions.append(Convolution(parameter=parameter, layer=layer, before=before[name]))
        elif "epsilon" in layer.config:
            epsilons.setdefault(number(layer.config["epsilon"]) or 0.0, name)
        wanted, following = _wanted(parameter, body), behind.get(name, ())
        found = [] if wanted is None else list(_functions(layer, following))
        if wanted == _LINEAR and len(found) < len(following):
            continue  # something takes the result as it is
        if found and wanted not in found and all(one in _OTHERS for one in found):
            others.setdefault(found[0], []).append(name)
    geometry = with_strides(said.spec, convolutions, list(layers.values()))
    said = said._replace(spec=geometry.spec, notes=(*said.notes, *geometry.notes))
    activations = [f"the activation {name} behind {some_of(where)}" for name, where in others.items()]
    return _judged(said, epsilons, [*activations, *geometry.wrong])


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
    arch = f"--arch {spec.name} --width {spec.width:g} --depth {spec.depth:g}"
    return said._replace(
        refusal=(
            f"the model's configuration has {'; '.join(wrong[:_MOST_SHOWN])}"
            f"{f' and {len(wrong) - _MOST_SHOWN} more' if len(wrong) > _MOST_SHOWN else ''}: that is not {spec.name}, "
            f"which has the activation {spec.stem.activation}, one epsilon, {norm.epsilon:g}, and no dilation. Give "
            f"the definition of its network with --spec FILE.json, which `effnet info CHECKPOINT {arch} --json` "
            f"prints to be changed, or {arch} alone to read it as that network in spite of this."
        )
    )


def _wanted(parameter: Parameter, spec: NetworkSpec) -> Activation | str | None:
    """What the network applies behind a layer, None for nothing that is looked at."""
    block = None if parameter.block is None else spec.blocks[parameter.block]
    if parameter.role is Role.CONV:
        return {_REDUCE: None if block is None else block.activation, _EXPAND: "sigmoid"}.get(parameter.part)
    is_fused = isinstance(block, FusedMBConv) and not block.has_expansion and parameter.part == "project.norm"
    if parameter.part not in _ACTIVATED and not is_fused:
        return _LINEAR if parameter.part == "project.norm" else None
    return spec.stem.activation if block is None else block.activation


def _functions(layer: Layer, behind: Sequence[Layer]) -> Iterator[Activation | str]:
    """The activations that a layer has itself, or else those of the layers that take its result."""
    own = _name(layer.config.get("activation"))
    if own not in (None, _LINEAR):
        yield ACTIVATIONS.get(own, own)
        return
    for following in behind:
        if following.kind == "Activation":
            name = _name(following.config.get("activation"))
        elif following.kind == "ReLU" and following.config.get("max_value") == 6:
            name = "relu6"
        else:
            name = _LAYERS.get(following.kind)
        if name is not None:
            yield ACTIVATIONS.get(name, name)


def _name(value: object) -> str | None:
    """The name of a function, which Keras writes as an object where it was given as one."""
    if isinstance(value, dict):
        fields = cast("Mapping[str, object]", value)
        value = fields.get("config") if fields.get("class_name") == "function" else fields.get("class_name")
    return value if isinstance(value, str) else None


def _last(path: str) -> str:
    return path.rpartition("/")[2]
