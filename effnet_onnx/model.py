"""The network as an ONNX graph, written from its definition and its canonical state by the package onnx alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet_core import (
    EffnetError,
    InvalidOption,
    NetworkSpec,
    Pooling,
    check_state,
    checked_state,
    features_pooling,
    parameters,
    select_endpoints,
    to_json,
    without_classifier,
)
from effnet_onnx._onnx import ModelProto, assembled, check
from effnet_onnx.blocks import build_block
from effnet_onnx.graph import Graph, Value
from effnet_onnx.hidden import build_hidden
from effnet_onnx.layers import Layers

OPSET = 18
"""Of ONNX 1.13 (2022), the first whose Split says into how many parts; runtimes of today read it."""
IR_VERSION = 8
"""The file format of the same release."""
DTYPES = ("float32", "float64")
INPUT = "image"
SPEC_KEY, LABELS_KEY, LAYOUT_KEY = "effnet.spec", "effnet.labels", "effnet.layout"
"""Entries of the metadata: the definition as JSON, the names of the classes as a JSON list, a `Layout`."""
_LIMIT = (1 << 31) - (16 << 20)
"""Bytes of weights that leave room for the graph: no protobuf message has 2 GiB."""


class TooLarge(EffnetError):
    """The weights do not fit into one file, which is a protobuf message."""


class Layout(StrEnum):
    """Where the channels are in the images that a model takes and in the spatial features that it gives."""

    CHANNELS_LAST = "channels_last"
    """(N, H, W, C)."""
    CHANNELS_FIRST = "channels_first"
    """(N, C, H, W)."""

    @classmethod
    def _missing_(cls, value: object) -> Layout:
        raise InvalidOption(f"There is no layout named {value!r}; expected one of {', '.join(cls)}.")


@dataclass(frozen=True, kw_only=True)
class _Interface:
    """An input or an output."""

    name: str
    shape: tuple[int | str | None, ...]


def create_model(
    spec: NetworkSpec,
    weights: Mapping[str, NDArray[Any]],
    *,
    include_top: bool = True,
    pooling: Pooling | None = None,
    endpoints: Sequence[str] | None = None,
    layout: Layout | str = Layout.CHANNELS_LAST,
    input_size: tuple[int, int] | None = None,
    dtype: str = "float32",
    labels: Sequence[str] | None = None,
) -> ModelProto:
    """The network `spec` with the canonical state `weights` as an ONNX model of opset 18, folded or not as they are.

    Its input `image` is a batch of any size of normalised images in the `layout`; convolutions compute (N, C, H, W).
    Without `input_size` height and width are free, and SAME padding is ONNX's SAME_UPPER; with it, (height, width) in
    pixels, they are fixed, and padding is static amounts, for runtimes that want them.

    Its outputs are as those of the other backends' `create_model`: `logits`; with `include_top=False` `pooled`, or
    `head` with `pooling="none"`; with `endpoints` those (`effnet_core.endpoints`, `reduction_1` and so on), in that
    order. What they do not need is left out.

    `dtype` is float32 or float64. In float64 convolutions are sums of shifted products, since ONNX Runtime has no other
    way: for comparisons, not for speed. `labels`, a name for each class, and the definition travel in the metadata
    (`effnet.labels`, `effnet.spec`). The ONNX checker has seen the model, with every inferred shape.

    Raises `CheckpointMismatch`, `InvalidOption`, `UnknownEndpoint`, and `TooLarge` for weights of 2 GiB or more.
    """
    if dtype not in DTYPES:
        raise InvalidOption(f"There is no dtype named {dtype!r} here; expected one of {', '.join(DTYPES)}.")
    state, kind, chosen = checked_state(weights), np.dtype(dtype), Layout(layout)
    check_state(
        parameters(spec), {name: array.shape for name, array in state.items()}, subject="The state", network=spec.name
    )
    _check_bytes(spec, kind)
    _check_labels(spec, labels)
    _check_size(input_size)
    top = include_top and spec.classifier is not None
    reached = features_pooling(spec, None if top else pooling)
    built = spec if top else without_classifier(spec)
    graph = Graph(kind)
    layers = Layers(
        graph=graph,
        parameters={parameter.name: parameter for parameter in parameters(spec)},
        state=state,
        padding=spec.padding,
        norm_rule=spec.norm,
    )
    image = Value(name=INPUT, channels=spec.stem.in_channels, size=input_size)
    values = _forward(layers, _channels_first(graph, image, chosen), built, pooling=reached)
    names = _outputs(spec, values, endpoints, include_top=include_top, pooling=reached)
    outputs = {name: _given(graph, values[endpoint], f"{name}.{chosen}", chosen) for name, endpoint in names.items()}
    nodes, tensors = graph.needed(outputs)
    texts = {SPEC_KEY: to_json(spec), LAYOUT_KEY: chosen.value}
    model = assembled(
        nodes,
        tensors,
        image=_Interface(name=INPUT, shape=_shape(image, chosen)),
        outputs=[_Interface(name=name, shape=_shape(values[endpoint], chosen)) for name, endpoint in names.items()],
        dtype=kind,
        name=spec.name,
        opset=OPSET,
        ir_version=IR_VERSION,
        texts=texts if labels is None else {**texts, LABELS_KEY: json.dumps(list(labels))},
    )
    check(model)
    return model


def _forward(layers: Layers, image: Value, spec: NetworkSpec, *, pooling: Pooling) -> dict[str, Value]:
    """Every endpoint by name, in forward order. Without a classifier the features are pooled as `pooling` says."""
    x = layers.conv_norm(image, "stem", stride=spec.stem.stride, activation=spec.stem.activation)
    values = {"stem": x}
    for index, block in enumerate(spec.blocks):
        values |= build_block(layers, x, f"blocks.{index}", block)
        x = values[f"blocks.{index}"]
    if spec.head is not None:
        x = values["head"] = layers.conv_norm(x, "head", activation=spec.head.activation)
        pool = layers.maximum if pooling is Pooling.MAX else layers.average
        x = values["pooled"] = layers.flat(pool(x, "pooled.spatial"), "pooled.flat")
    if spec.classifier is not None:
        for index, layer in enumerate(spec.classifier.hidden):
            x = values[f"hidden.{index}"] = build_hidden(layers, x, f"hidden.{index}", layer)
        values["logits"] = layers.dense(x, "classifier")
    return values


def _outputs(
    spec: NetworkSpec,
    values: dict[str, Value],
    endpoints: Sequence[str] | None,
    *,
    include_top: bool,
    pooling: Pooling,
) -> dict[str, str]:
    """Name of each output with the endpoint that it is."""
    if endpoints is not None:
        return select_endpoints(spec, endpoints, include_top=include_top)
    last = "head" if pooling is Pooling.NONE and spec.head is not None else next(reversed(values))
    return {last: last}


def _channels_first(graph: Graph, image: Value, layout: Layout) -> Value:
    if layout is Layout.CHANNELS_FIRST:
        return image
    # (N, H, W, C) -> (N, C, H, W)
    name = graph.add("Transpose", [image.name], f"{image.name}.{Layout.CHANNELS_FIRST}", {"perm": [0, 3, 1, 2]})
    return Value(name=name, channels=image.channels, size=image.size)


def _given(graph: Graph, value: Value, name: str, layout: Layout) -> str:
    """The value as the model gives it."""
    if value.is_flat or layout is Layout.CHANNELS_FIRST:
        return value.name
    return graph.add("Transpose", [value.name], name, {"perm": [0, 2, 3, 1]})  # (N, C, H, W) -> (N, H, W, C)


def _shape(value: Value, layout: Layout) -> tuple[int | str | None, ...]:
    if value.is_flat:
        return ("batch", value.channels)
    free = ("height", "width") if value.name == INPUT else (None, None)
    size = free if value.size is None else value.size
    return ("batch", value.channels, *size) if layout is Layout.CHANNELS_FIRST else ("batch", *size, value.channels)


def _check_bytes(spec: NetworkSpec, dtype: np.dtype[Any]) -> None:
    nbytes = dtype.itemsize * sum(parameter.size for parameter in parameters(spec))
    if nbytes > _LIMIT:
        raise TooLarge(
            f"The weights of {spec.name} have {nbytes / 1e9:.2f} GB in {dtype.name}; expected at most "
            f"{_LIMIT / 1e9:.2f} GB, which is what one ONNX file holds. Take a narrower network or fewer classes"
            f"{'' if dtype == np.float32 else ', or write float32'}; a SavedModel has no such limit."
        )


def _check_labels(spec: NetworkSpec, labels: Sequence[str] | None) -> None:
    if labels is None:
        return
    classes = 0 if spec.classifier is None else spec.classifier.num_classes
    if len(labels) != classes:
        raise InvalidOption(f"There are {len(labels)} labels; expected {classes}, one for each class of {spec.name}.")


def _check_size(size: tuple[int, int] | None) -> None:
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise InvalidOption(f"The input size is {size}; expected (height, width) in pixels, each at least 1.")
