"""The network as a functional Keras model of built-in layers: a saved one opens without this project.

Networks with conditional convolutions hold two layers of our own (`effnet_tf.condconv`); a saved one opens where
`effnet_tf` has been imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from effnet_core import (
    InvalidOption,
    NetworkSpec,
    NormMode,
    Pooling,
    check_norm_mode,
    checked_state,
    configured,
    features_pooling,
    select_endpoints,
    without_classifier,
)
from effnet_tf._keras import Model, Tensor, deep_graphs, keras
from effnet_tf.blocks import build_block
from effnet_tf.hidden import build_hidden
from effnet_tf.layers import Layers
from effnet_tf.weights import load_state

DTYPES = ("float32", "float64", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16")
"""Keras dtype policies; the mixed ones compute in the narrow type and keep variables and logits in float32."""


def create_model(
    network: str | NetworkSpec,
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    include_top: bool = True,
    pooling: Pooling | None = None,
    dropout_rate: float | None = None,
    drop_connect_rate: float | None = None,
    endpoints: Sequence[str] | None = None,
    norm_mode: NormMode = NormMode.TRAINED,
    dtype: str = "float32",
    seed: int | None = None,
    input_size: tuple[int, int] | None = None,
) -> Model:
    """The network `network`, a variant's name or a definition, with `weights` or freshly initialised.

    The model takes normalised images (N, H, W, C) of any height and width, or of `input_size` (height, width) in
    pixels, and gives logits (N, classes). With `include_top=False`, and where the definition has no classifier, it
    gives the features of the head as `pooling` says (None: as the definition pools for its classifier, else their
    average), or those of the last block where the definition has no head. With `endpoints` it gives a dictionary of
    those (`effnet_core.endpoints`, and `reduction_1` and so on) and has only the layers that they need.

    `weights` is a canonical state in TensorFlow's layouts, as `load_state` takes it; tensors of layers that the model
    does not have, such as the classifier's with `include_top=False`, are accepted and not used. Options that are None
    stay as the definition says. `dtype` is one of `DTYPES`. `seed` makes the initial weights and the
    dropout reproducible.

    `norm_mode=NormMode.FROZEN` is for fine-tuning: every normalisation uses its moving statistics in training too, and
    training changes neither them nor its gamma and beta. Setting `model.trainable = True` afterwards thaws them.
    A folded network (`converters.fold`) has none: `FROZEN` is refused, and training changes kernels and biases.

    Raises `UnknownVariant`, `InvalidSpec`, `InvalidOption` and `UnknownEndpoint` for arguments that do not fit, and
    `CheckpointMismatch` for weights that do not.
    """
    spec = configured(
        network,
        num_classes=num_classes,
        in_channels=in_channels,
        dropout_rate=dropout_rate,
        drop_connect_rate=drop_connect_rate,
    )
    check_norm_mode(spec, NormMode(norm_mode))
    policy = _policy(dtype)
    size = (None, None) if input_size is None else _checked_size(input_size)
    image = keras.Input(shape=(*size, spec.stem.in_channels), dtype=policy.variable_dtype, name="image")
    has_top = include_top and spec.classifier is not None
    # With a classifier the definition says how its input is pooled.
    kind = features_pooling(spec, None if has_top else pooling)
    layers = Layers.of(spec, norm_mode=NormMode(norm_mode), dtype=policy, seed=seed)
    tensors = _forward(layers, image, spec if has_top else without_classifier(spec), pooling=kind)
    outputs: Tensor | dict[str, Tensor]
    if endpoints is not None:
        chosen = select_endpoints(spec, endpoints, include_top=include_top)
        outputs = {name: tensors[endpoint] for name, endpoint in chosen.items()}
    elif kind is Pooling.NONE and spec.head is not None:
        outputs = tensors["head"]
    else:
        outputs = tensors[next(reversed(tensors))]
    with deep_graphs():
        model: Model = keras.Model(image, outputs, name=spec.name)
    if weights is not None:
        load_state(model, spec, checked_state(weights))
    return model


def _forward(layers: Layers, image: Tensor, spec: NetworkSpec, *, pooling: Pooling) -> dict[str, Tensor]:
    """Every endpoint by name, in forward order. Without a classifier the features are pooled as `pooling` says."""
    x = layers.conv_norm(image, "stem", stride=spec.stem.stride, activation=spec.stem.activation)
    tensors = {"stem": x}
    for index, block in enumerate(spec.blocks):
        tensors |= build_block(layers, x, f"blocks.{index}", block)
        x = tensors[f"blocks.{index}"]
    if spec.head is not None:
        x = tensors["head"] = layers.conv_norm(x, "head", activation=spec.head.activation)
        pool = layers.maximum if pooling is Pooling.MAX else layers.average
        x = tensors["pooled"] = pool(x, "pooled")  # (N, H, W, C) -> (N, C)
    if spec.classifier is not None:
        for index, layer in enumerate(spec.classifier.hidden):
            x = tensors[f"hidden.{index}"] = build_hidden(layers, x, f"hidden.{index}", layer)
        if spec.classifier.dropout_rate > 0:
            x = layers.dropout(x, "dropout", rate=spec.classifier.dropout_rate)
        tensors["logits"] = layers.dense(x, "classifier")
    return tensors


def _policy(dtype: str) -> Any:
    if dtype not in DTYPES:
        raise InvalidOption(f"There is no dtype named {dtype!r} here; expected one of {', '.join(DTYPES)}.")
    return keras.DTypePolicy(dtype)


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    if len(size) != 2 or min(size) < 1:
        raise InvalidOption(f"The input size is {size}; expected (height, width) in pixels, each at least 1.")
    return size
