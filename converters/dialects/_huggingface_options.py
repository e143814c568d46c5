"""What transformers' `config.json` says of the function that its model computes, where shapes do not tell it.

Source: transformers 5.23, models/efficientnet/configuration_efficientnet.py and modeling_efficientnet.py. A field that
is missing is that of the usual network: mean, swish, the strides of the table, epsilon 1e-3. `hidden_act` is the
activation of every layer, of squeeze-and-excite too. `batch_norm_momentum`, which is for training only, is not looked
at: PyTorch takes it for the weight of the new statistic, and published files say 0.99.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from converters.dialects._huggingface_config import POOLING
from converters.dialects.json_fields import Fields, number, whole_numbers
from effnet_core import Activation, NetworkSpec, Pooling, norm_of

_POOLINGS = {name: pooling for pooling, name in POOLING.items()}
_ACTIVATIONS = {"swish": Activation.SWISH, "silu": Activation.SWISH}
WAY_OUT = (
    "Use it with transformers itself. If it is an official network all the same, say --from huggingface, and what has "
    "no definition is passed over."
)


class _Impossible(Exception):
    """No definition has such a value; what was expected."""


def with_options(spec: NetworkSpec, config: Fields) -> tuple[NetworkSpec, tuple[str, ...], str | None]:
    """The network with what its configuration says, a note on another pooling, and why it has no definition, if so."""
    wrong: list[str] = []
    for name, read in _READ.items():
        value = config.get(name)
        if value is None:
            continue
        try:
            spec = read(spec, value)
        except _Impossible as expected:
            wrong.append(f"{name}={value!r:.60} (expected {expected})")
    refusal = (
        f"config.json says that the network was made with {', '.join(wrong)}, of which this project has no definition."
    )
    return spec, _pooling_notes(spec, config), refusal if wrong else None


def _pooling_notes(spec: NetworkSpec, config: Fields) -> tuple[str, ...]:
    if config.get("pooling_type") != POOLING[Pooling.MAX]:
        return ()
    if spec.classifier is not None:
        return ("config.json says pooling_type='max', and so the network is taken.",)
    return (
        "config.json says pooling_type='max', by which transformers pools the features; the definition of a network "
        "without classifier does not say it, and they are averaged unless pooling='max' is asked for.",
    )


def _pooled(spec: NetworkSpec, value: object) -> NetworkSpec:
    # The window of transformers' pooling has as many pixels as the head has channels: it is a global one wherever the
    # model gives a result at all.
    if not isinstance(value, str) or value not in _POOLINGS:
        raise _Impossible(" or ".join(map(repr, _POOLINGS)))
    if spec.classifier is None:
        return spec
    return replace(spec, classifier=replace(spec.classifier, pooling=_POOLINGS[value]))


def _activated(spec: NetworkSpec, value: object) -> NetworkSpec:
    if not isinstance(value, str) or _ACTIVATIONS.get(value) is not spec.stem.activation:
        raise _Impossible(" or ".join(map(repr, _ACTIVATIONS)))
    return spec


def _strided(spec: NetworkSpec, value: object) -> NetworkSpec:
    expected = [block.stride for block in spec.blocks if block.repeat == 0]
    if whole_numbers(value) != expected:
        raise _Impossible(f"{expected}, those of {spec.name}")
    return spec


def _epsilon(spec: NetworkSpec, value: object) -> NetworkSpec:
    found = number(value)
    if found is None:
        raise _Impossible("a small number above 0")
    return replace(spec, norm=replace(norm_of(spec, wanted="an epsilon"), epsilon=found))


_READ: Mapping[str, Callable[[NetworkSpec, object], NetworkSpec]] = MappingProxyType(
    {"pooling_type": _pooled, "hidden_act": _activated, "strides": _strided, "batch_norm_eps": _epsilon}
)
