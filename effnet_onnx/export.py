"""The network as an ONNX file for programs that serve it.

Tensors are (N, H, W, C), in and out. Source: the ONNX specification, docs/IR.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from effnet_core import NetworkSpec
from effnet_onnx._onnx import ModelProto
from effnet_onnx.model import INPUT, create_model

IMAGES, FEATURES = "images", "features"
"""Names of the input and of what is before the classifier, as in the signatures of a SavedModel."""


def write_model(
    spec: NetworkSpec,
    state: Mapping[str, NDArray[Any]],
    path: Path,
    *,
    input_size: tuple[int, int] | None,
    labels: Sequence[str] | None,
    texts: Mapping[str, str],
) -> None:
    """Write the network as `path` (`.onnx`), with one graph for logits and features.

    The model takes `images` float32 (N, H, W, C), normalised, and gives `logits` (N, classes) and `features`
    (N, channels); without a classifier only those. `input_size` and `labels` are as in `create_model`; `texts` are
    further entries of the metadata. Raises what `create_model` raises.
    """
    features = "pooled" if spec.head is not None else f"blocks.{len(spec.blocks) - 1}"
    endpoints = [features] if spec.classifier is None else ["logits", features]
    model = create_model(spec, state, endpoints=endpoints, input_size=input_size, labels=labels)
    _rename(model, {INPUT: IMAGES, features: FEATURES})
    for name, text in texts.items():
        model.metadata_props.add(key=name, value=text)
    path.write_bytes(model.SerializeToString())


def _rename(model: ModelProto, names: Mapping[str, str]) -> None:
    """Give values of the graph other names, wherever they are used."""
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
