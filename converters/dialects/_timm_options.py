"""What timm's models are made with besides their name, as far as logits depend on it.

Source: timm 1.0.31, models/efficientnet.py (`_create_effnet`, `EfficientNet`), layers/adaptive_avgmax_pool.py,
layers/create_act.py, layers/padding.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from converters.dialects._timm_statements import Statement
from converters.dialects.json_fields import number
from effnet_core import Activation, NetworkSpec, Padding, Pooling, norm_of

_WITHOUT_EFFECT = frozenset(
    {
        *("num_classes", "in_chans", "drop_rate", "drop_path_rate", "drop_block_rate", "pretrained", "scriptable"),
        *("exportable", "no_jit", "checkpoint_path", "img_size", "input_size", "features_only", "pretrained_cfg"),
        *("pretrained_cfg_overlay", "cache_dir", "pretrained_strict", "device", "dtype"),
    }
)
"""Options that shapes tell, or that matter in training and loading only."""
_POOLINGS = {"avg": Pooling.AVERAGE, "fast": Pooling.AVERAGE, "fastavg": Pooling.AVERAGE, "max": Pooling.MAX}
_PADDINGS = {"same": Padding.SAME, "": Padding.SYMMETRIC, "symmetric": Padding.SYMMETRIC}
_ACTIVATIONS = {
    "swish": Activation.SWISH,
    "silu": Activation.SWISH,
    "relu": Activation.RELU,
    "relu6": Activation.RELU6,
}
_NORMS = frozenset({"", "batchnorm", "batchnorm2d"})
_OUTPUT_STRIDE = 32


class _Impossible(Exception):
    """No definition has such a value."""


def with_options(spec: NetworkSpec, said: Statement) -> tuple[NetworkSpec, tuple[str, ...], str | None]:
    """The network with what it was made with, a note on each that changed it, and why it has no definition, if so."""
    notes: list[str] = []
    wrong: list[str] = []
    # What says all of the norm at once comes before what says one number of it.
    for name, value in sorted(said.options.items(), key=lambda option: option[0] != "bn_tf"):
        if value is None or name in _WITHOUT_EFFECT or (name not in _READ and not value):  # switched off
            continue
        shown = f"{name[:40]}={value!r:.60}"
        try:
            changed = _READ[name](spec, value) if name in _READ else None
        except _Impossible:
            changed = None
        if changed is None:
            wrong.append(shown)
        elif changed != spec:
            spec = changed
            notes.append(f"{said.where[:1].upper()}{said.where[1:]} says {shown}, and so the network is taken.")
    refusal = (
        f"{said.where} says that {said.name[:80]!r} was made with {', '.join(wrong[:6])}, of which this project has no "
        "definition or does not know what follows."
    )
    return spec, tuple(notes), refusal if wrong else None


def _pooled(spec: NetworkSpec, value: object) -> NetworkSpec:
    if spec.classifier is None:  # features stay as they are, or nothing tells otherwise
        return spec
    if not isinstance(value, str) or value not in _POOLINGS:
        raise _Impossible
    return replace(spec, classifier=replace(spec.classifier, pooling=_POOLINGS[value]))


def _epsilon(spec: NetworkSpec, value: object) -> NetworkSpec:
    found = number(value)
    if found is None:
        raise _Impossible
    return replace(spec, norm=replace(norm_of(spec, wanted="an epsilon"), epsilon=found))


def _momentum(spec: NetworkSpec, value: object) -> NetworkSpec:
    found = number(value)
    if found is None or found >= 1:
        raise _Impossible
    return replace(spec, norm=replace(norm_of(spec, wanted="a decay"), decay=1 - found))


def _as_tensorflow(spec: NetworkSpec, value: object) -> NetworkSpec:
    return _epsilon(_momentum(spec, 0.01), 1e-3) if value else spec


def _strided(spec: NetworkSpec, value: object) -> NetworkSpec:
    # Blocks with a dilation in the place of a stride have no definition.
    if value != _OUTPUT_STRIDE:
        raise _Impossible
    return spec


def _normed(spec: NetworkSpec, value: object) -> NetworkSpec:
    if not isinstance(value, str) or value.replace("_", "").lower() not in _NORMS:
        raise _Impossible
    return spec


def _padded(spec: NetworkSpec, value: object) -> NetworkSpec:
    if not isinstance(value, str) or value not in _PADDINGS:
        raise _Impossible
    return replace(spec, padding=_PADDINGS[value])


def _activated(spec: NetworkSpec, value: object) -> NetworkSpec:
    if value != "" and (not isinstance(value, str) or _ACTIVATIONS.get(value.lower()) is not spec.stem.activation):
        raise _Impossible
    return spec


_READ: Mapping[str, Callable[[NetworkSpec, object], NetworkSpec]] = MappingProxyType(
    {
        "global_pool": _pooled,
        "output_stride": _strided,
        "norm_layer": _normed,
        "bn_tf": _as_tensorflow,
        "bn_eps": _epsilon,
        "bn_momentum": _momentum,
        "pad_type": _padded,
        "act_layer": _activated,
    }
)
