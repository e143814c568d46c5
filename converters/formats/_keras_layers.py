"""The layers of Keras that networks are made of: their variables in the order in which Keras numbers them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from converters.errors import OutputError
from converters.formats.base import TensorInfo

LAYERS: Mapping[str, tuple[tuple[tuple[str, int], ...], ...]] = MappingProxyType(
    {
        "conv2d": ((("kernel", 4),), (("kernel", 4), ("bias", 1))),
        "depthwise_conv2d": ((("depthwise_kernel", 4),), (("depthwise_kernel", 4), ("bias", 1))),
        "dense": ((("kernel", 2),), (("kernel", 2), ("bias", 1))),
        "batch_normalization": (
            (("gamma", 1), ("beta", 1), ("moving_mean", 1), ("moving_variance", 1)),
            (("moving_mean", 1), ("moving_variance", 1)),
        ),
        "normalization": (
            (("mean", 1), ("variance", 1), ("count", 0)),
            (("mean", 0), ("variance", 0), ("count", 0)),  # one number for all channels
        ),
        "layer_normalization": ((("gamma", 1), ("beta", 1)),),
        # Of effnet_tf, for conditional convolutions: experts x elements of a kernel.
        "cond_pointwise_conv2d": ((("kernel", 2),), (("kernel", 2), ("bias", 1))),
        "cond_depthwise_conv2d": ((("depthwise_kernel", 2),), (("depthwise_kernel", 2), ("bias", 1))),
    }
)
"""Class (as Keras writes it in paths) to the sets of variables that it may have: leaf and number of dimensions.

With one of gamma and beta, what is which cannot be told: both are vectors of the same length.
"""
ORDER = (
    "kernel",
    "depthwise_kernel",
    "bias",
    "gamma",
    "beta",
    "moving_mean",
    "moving_variance",
    "mean",
    "variance",
    "count",
)
"""Every leaf, in the order in which Keras lists a layer's variables."""
ADVICE = "Name tensors LAYER/leaf, as the dialects of Keras do (--to effnet-keras)."
_NUMBER = re.compile(r"_[0-9]+$")


def class_of(component: str) -> str:
    """`conv2d_5` -> `conv2d`."""
    return _NUMBER.sub("", component)


def leaves_of(component: str, shapes: Sequence[tuple[int, ...]]) -> tuple[str, ...] | None:
    """The leaves of a layer's variables 0, 1, ...; None where class, number or shapes do not tell them."""
    ranks = tuple(len(shape) for shape in shapes)
    vectors = {shape for shape in shapes if len(shape) == 1}
    for variables in LAYERS.get(class_of(component), ()):
        if tuple(rank for _, rank in variables) == ranks and (len(vectors) <= 1):
            return tuple(leaf for leaf, _ in variables)
    return None


def class_for(leaves: Mapping[str, int], *, is_conditional: bool) -> str | None:
    """The class of a layer with these leaves (each with its number of dimensions), None when there is none.

    A matrix is a dense layer's, or a conditional convolution's where the layer `is_conditional`.
    """
    names = list(LAYERS)
    if is_conditional:
        names.reverse()  # conditional convolutions stand last
    for name in names:
        if any(dict(variables) == dict(leaves) for variables in LAYERS[name]):
            return name
    return None


def layers_of(tensors: Sequence[TensorInfo], path: Path) -> dict[str, dict[str, TensorInfo]]:
    """The tensors by layer, in the order of the first of each, and leaf. Raises `OutputError` for other names."""
    found: dict[str, dict[str, TensorInfo]] = {}
    for info in tensors:
        layer, _, leaf = info.name.partition("/")
        if not layer.strip(".") or leaf not in ORDER:
            raise OutputError(
                f"{path}: {info.name!a} cannot be written to Keras' HDF5 files: {_reason(layer, leaf)}. {ADVICE}"
            )
        found.setdefault(layer, {})[leaf] = info
    return found


def _reason(layer: str, leaf: str) -> str:
    """Why a name is none that Keras' files can hold."""
    if not layer.strip("."):
        return "no layer's name stands before the first slash"
    if not leaf:
        return "no slash parts a layer from its variable"
    return f"behind the first slash stands {leaf!a}, expected a variable of one layer: {', '.join(ORDER)}"
