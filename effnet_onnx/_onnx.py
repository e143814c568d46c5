"""The border to onnx, whose functions have partial types: what lies behind it is `Any`, what leaves it has a type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import onnx as _onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

onnx: Any = _onnx

__all__ = ["Attribute", "Interface", "ModelProto", "NodeProto", "assembled", "check", "node_of"]

Attribute = int | float | str | list[int]


class Interface(Protocol):
    """A value that goes into a graph or comes out of it."""

    @property
    def name(self) -> str:
        """As the caller knows it."""
        ...

    @property
    def shape(self) -> tuple[int | str | None, ...]:
        """A size, the name of a free one, or None."""
        ...


def node_of(
    operator: str, inputs: Sequence[str], outputs: Sequence[str], *, name: str, attributes: Mapping[str, Attribute]
) -> NodeProto:
    """One node."""
    made = onnx.helper.make_node(operator, list(inputs), list(outputs), name=name, **attributes)
    return cast("NodeProto", made)


def assembled(
    nodes: Sequence[NodeProto],
    initializers: Mapping[str, NDArray[Any]],
    *,
    image: Interface,
    outputs: Sequence[Interface],
    dtype: np.dtype[Any],
    name: str,
    opset: int,
    ir_version: int,
    texts: Mapping[str, str],
) -> ModelProto:
    """A model of these nodes, whose inputs and outputs have the type `dtype`; `texts` are its metadata."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(dtype)
    infos = [onnx.helper.make_tensor_value_info(value.name, kind, list(value.shape)) for value in (image, *outputs)]
    tensors = [onnx.numpy_helper.from_array(np.ascontiguousarray(array), key) for key, array in initializers.items()]
    graph = onnx.helper.make_graph(list(nodes), name, infos[:1], infos[1:], tensors)
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=ir_version, producer_name="effnet"
    )
    onnx.helper.set_model_props(model, dict(texts))
    return cast("ModelProto", model)


def check(model: ModelProto) -> None:
    """Raise unless the ONNX checker takes the model, with the shapes that it infers for every value."""
    onnx.checker.check_model(model, full_check=True)
