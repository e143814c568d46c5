"""Batch normalisation folded into the convolutions in front of it: the same function in fewer steps.

In evaluation a normalisation is y = (x - mean) * scale + beta with scale = gamma / sqrt(variance + epsilon), fixed
numbers for each channel. Behind a convolution without activation between them, scale goes into the kernel's output
channels and the rest becomes the convolution's bias. The kernels of experts are scaled each: a mixture of scaled
kernels is the scaled mixture. All of it is computed in float64 and rounded once.

Source: Jacob et al., Quantization and Training of Neural Networks for Integer-Arithmetic-Only Inference (2018), section
3.2, equation 14.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.changes.folded_values import (
    BatchNorm,
    CarriedBias,
    ScaledInputs,
    ScaledOutputs,
    ShiftedBias,
    Stored,
    Values,
)
from effnet_core import (
    Classifier,
    HiddenDense,
    HiddenLayer,
    HiddenNorm,
    InvalidOption,
    NetworkSpec,
    Parameter,
    Role,
    check_state,
    parameters,
)

_DTYPES = ("float32", "float64")
_KERNELS = frozenset({Role.CONV, Role.DEPTHWISE, Role.EXPERTS, Role.DEPTHWISE_EXPERTS})


@dataclass(frozen=True, kw_only=True)
class FoldingPlan:
    """The folded definition, and what each of its tensors is made of."""

    spec: NetworkSpec
    values: Mapping[str, Values]
    """By canonical name of the folded network, in forward order."""
    notes: tuple[str, ...]
    """What was done and what could not be, a sentence each."""


def fold(
    spec: NetworkSpec, state: Mapping[str, NDArray[Any]], *, dtype: str = "float32"
) -> tuple[NetworkSpec, dict[str, NDArray[Any]]]:
    """The network without batch normalisation that gives the same in evaluation: its definition and canonical state.

    The folded definition has no norm (`spec.norm` is None) and its convolutions have biases. A normalisation between
    pooling and classifier is folded where a dense layer is directly before it (without activation) or behind it, and
    kept otherwise. Computed in float64; the new state has the type `dtype`, float32 or float64, and shares no memory
    with the given one, which stays as it is. A network that is folded already stays so.

    Trained on, a folded network has nothing that normalises: `norm_mode` has no meaning, drop-connect and dropout act
    as before.

    Raises `CheckpointMismatch` when the state is not that of the network, `CannotFold` for a normalisation that divides
    by zero or by no number, and `InvalidOption` for another type.
    """
    if dtype not in _DTYPES:
        raise InvalidOption(f"A folded state cannot be {dtype!r}; expected one of {', '.join(_DTYPES)}.")
    shapes = {name: array.shape for name, array in state.items()}
    check_state(parameters(spec), shapes, subject="The state", network=spec.name)
    plan, kind = plan_folding(spec), np.dtype(dtype)
    return plan.spec, {name: values.computed(state.__getitem__, kind) for name, values in plan.values.items()}


def plan_folding(spec: NetworkSpec) -> FoldingPlan:
    """What folding makes of a network; nothing is read."""
    values = dict(_up_to_pooling(spec))
    ends = () if spec.classifier is None else _folded_ends(spec.classifier)
    classifier = None if spec.classifier is None else _with_hidden(spec.classifier, ends)
    names = _numbered(ends)
    for name, end in zip(names, ends, strict=True):
        values |= end.tensors(name)
    folded = replace(spec, norm=None, classifier=classifier)
    notes: list[str] = []
    if spec.norm is not None:
        count = sum(parameter.role is Role.GAMMA and parameter.hidden is None for parameter in parameters(spec))
        notes.append(f"{count} batch normalisations are folded into the convolutions in front of them, in float64.")
    notes += [
        f"The normalisation {end.path} of the head stays ({name} now): no dense layer is next to it that it could be "
        "folded into."
        for name, end in zip(names, ends, strict=True)
        if isinstance(end.layer, HiddenNorm)
    ]
    in_order = {parameter.name: values[parameter.name] for parameter in parameters(folded)}
    return FoldingPlan(spec=folded, values=in_order, notes=tuple(notes))


def _up_to_pooling(spec: NetworkSpec) -> Iterator[tuple[str, Values]]:
    """Every tensor before the hidden layers and the classifier."""
    norm = spec.norm
    for parameter in parameters(spec):
        if parameter.part in ("hidden", "classifier") or parameter.layer.endswith(".norm"):
            continue
        if norm is None or not _is_normalised(parameter):
            yield parameter.name, Stored(name=parameter.name)
            continue
        behind = BatchNorm(layer=f"{parameter.layer.removesuffix('.conv')}.norm", epsilon=norm.epsilon)
        yield parameter.name, ScaledOutputs(kernel=Stored(name=parameter.name), norm=behind)
        yield f"{parameter.layer}.bias", ShiftedBias(bias=None, norm=behind)


def _is_normalised(parameter: Parameter) -> bool:
    """Whether a normalisation follows: behind the convolutions of squeeze-and-excite there is none."""
    return parameter.role in _KERNELS and parameter.layer.endswith(".conv")


@dataclass(frozen=True, kw_only=True)
class _End:
    """A hidden layer, or the classifier's dense layer, with what its tensors are made of."""

    path: str
    """Before folding."""
    layer: HiddenLayer | None
    """None: the classifier."""
    kernel: Values | None = None
    bias: Values | None = None

    @property
    def is_dense(self) -> bool:
        return self.kernel is not None

    def tensors(self, path: str) -> dict[str, Values]:
        """By canonical name, for a layer at that path."""
        if isinstance(self.layer, HiddenNorm):
            leaves = ("gamma", "beta", "mean", "variance")
            return {f"{path}.{leaf}": Stored(name=f"{self.path}.{leaf}") for leaf in leaves}
        found = {f"{path}.kernel": self.kernel, f"{path}.bias": self.bias}
        return {name: values for name, values in found.items() if values is not None}


def _folded_ends(classifier: Classifier) -> tuple[_End, ...]:
    """The hidden layers and the classifier, without the normalisations that dense layers can take in."""
    done: list[_End] = []
    for end in _ends(classifier):
        if isinstance(end.layer, HiddenNorm) and done and _takes_from_behind(done[-1]):
            done[-1] = _with_norm_behind(done[-1], _norm_of(end))
            continue
        # A dropout in front of the classifier is a field of it, not a layer.
        is_next = end.is_dense and (end.layer is not None or classifier.dropout_rate == 0)
        while is_next and done and isinstance(done[-1].layer, HiddenNorm):
            end = _with_norm_before(end, _norm_of(done.pop()))  # noqa: PLW2901  # the same layer, with more in it
        done.append(end)
    return tuple(done)


def _ends(classifier: Classifier) -> Iterator[_End]:
    for index, layer in enumerate(classifier.hidden):
        path = f"hidden.{index}"
        if isinstance(layer, HiddenDense):
            bias = Stored(name=f"{path}.bias") if layer.has_bias else None
            yield _End(path=path, layer=layer, kernel=Stored(name=f"{path}.kernel"), bias=bias)
        else:
            yield _End(path=path, layer=layer)
    kernel, bias = Stored(name="classifier.kernel"), Stored(name="classifier.bias")
    yield _End(path="classifier", layer=None, kernel=kernel, bias=bias)


def _takes_from_behind(end: _End) -> bool:
    return isinstance(end.layer, HiddenDense) and end.layer.activation is None


def _norm_of(end: _End) -> BatchNorm:
    if not isinstance(end.layer, HiddenNorm):
        raise TypeError(f"{end.path} is no normalisation")
    return BatchNorm(layer=end.path, epsilon=end.layer.epsilon)


def _with_norm_behind(end: _End, norm: BatchNorm) -> _End:
    if end.kernel is None or not isinstance(end.layer, HiddenDense):
        raise TypeError(f"{end.path} is no hidden dense layer")
    return replace(
        end,
        layer=replace(end.layer, has_bias=True),
        kernel=ScaledOutputs(kernel=end.kernel, norm=norm),
        bias=ShiftedBias(bias=end.bias, norm=norm),
    )


def _with_norm_before(end: _End, norm: BatchNorm) -> _End:
    if end.kernel is None:
        raise TypeError(f"{end.path} is no dense layer")
    return replace(
        end,
        layer=replace(end.layer, has_bias=True) if isinstance(end.layer, HiddenDense) else end.layer,
        kernel=ScaledInputs(kernel=end.kernel, norm=norm),
        bias=CarriedBias(bias=end.bias, kernel=end.kernel, norm=norm),
    )


def _numbered(ends: tuple[_End, ...]) -> list[str]:
    """The canonical path of each in the folded network."""
    return ["classifier" if end.layer is None else f"hidden.{index}" for index, end in enumerate(ends)]


def _with_hidden(classifier: Classifier, ends: tuple[_End, ...]) -> Classifier:
    return replace(classifier, hidden=tuple(end.layer for end in ends if end.layer is not None))
