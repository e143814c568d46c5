"""Operations on tensors that Keras models have in the place of layers: `(image - 127.5) / 127.5` of a functional model.

Their numbers stand beside the tensors that they take, where other layers are named. Keras 3 has a class for each
operation, Keras 2 one class for all, TFOpLambda, with the name of the function.

Source: keras/src/ops/function.py and keras/src/ops/numpy.py, version 3.15; keras/src/engine/node.py (`serialize`),
version 2.10.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, cast

from converters.keras_json import Layer

_LAMBDA = "TFOpLambda"
_CONSTANT = "_CONSTANT_VALUE"
"""What Keras 2 writes where the first argument is no tensor."""
_OF_TENSORS = "__keras_tensor__"
_OF_NUMBERS = frozenset({"__numpy__", "__tensor__"})
_FLOAT = ("float", "bfloat")


class Kind(Enum):
    """What is done with a tensor and numbers."""

    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    DIVIDE = "divide"
    CAST = "cast"
    """To floating numbers; there are no other numbers then."""


class Operation(NamedTuple):
    """An operation on one tensor."""

    kind: Kind
    numbers: object
    """As the configuration has them: one, or lists of them."""
    is_reversed: bool
    """Whether the numbers come first, as in 255 - image."""


_CLASSES = {
    "Add": Kind.ADD,
    "Subtract": Kind.SUBTRACT,
    "Multiply": Kind.MULTIPLY,
    "Divide": Kind.DIVIDE,
    "TrueDivide": Kind.DIVIDE,
    "Cast": Kind.CAST,
}
_FUNCTIONS = {
    "__operators__.add": Kind.ADD,
    "math.add": Kind.ADD,
    "math.subtract": Kind.SUBTRACT,
    "math.multiply": Kind.MULTIPLY,
    "math.divide": Kind.DIVIDE,
    "math.truediv": Kind.DIVIDE,
    "cast": Kind.CAST,
}


def operation_of(layer: Layer) -> Operation | None:
    """The operation that a layer is; None for layers proper, for several tensors and for other operations."""
    if layer.kind == _LAMBDA:
        return _of_lambda(layer)
    kind, call = _CLASSES.get(layer.kind), _only(layer.calls)
    if kind is None or not isinstance(call, dict):
        return None
    args = cast("Mapping[str, Any]", call).get("args")
    args = cast("list[object]", args) if isinstance(args, list) else []
    tensors = [one for one in args if _class(one) == _OF_TENSORS]
    if len(tensors) != 1 or cast("Mapping[str, Any]", call).get("kwargs"):
        return None
    if kind is Kind.CAST:
        return _cast(layer.config.get("dtype")) if len(args) == 1 else None
    # Whole numbers do not always stay what arithmetic makes of them: 1 - 2 is 255 in eight bits.
    if len(args) != 2 or not (kind is Kind.DIVIDE or _is_float(_config(tensors[0]).get("dtype"))):
        return None
    is_reversed = args[1] is tensors[0]
    numbers = args[0 if is_reversed else 1]
    return Operation(kind, _config(numbers).get("value") if _class(numbers) in _OF_NUMBERS else numbers, is_reversed)


def _of_lambda(layer: Layer) -> Operation | None:
    """The same for Keras 2, whose calls are `[NAME, node, tensor, {"y": 255.0}]`, by the names of the arguments."""
    function, call = layer.config.get("function"), _only(layer.calls)
    kind = _FUNCTIONS.get(function) if isinstance(function, str) else None
    if kind is None or not isinstance(call, list) or len(parts := cast("list[Any]", call)) != 4:
        return None
    first, _, value, options = parts
    if not isinstance(options, dict):
        return None
    options = cast("Mapping[str, object]", options)
    if kind is Kind.CAST:
        return None if first == _CONSTANT else _cast(options.get("dtype"))
    is_reversed = first == _CONSTANT  # and `y` the tensor
    return Operation(kind, value if is_reversed else options.get("y"), is_reversed)


def _only(calls: object) -> object:
    """The only call of a layer, out of the lists around it; None where there are several."""
    while isinstance(calls, list) and len(listed := cast("list[object]", calls)) == 1:
        [calls] = listed
    return cast("object", calls)


def _cast(dtype: object) -> Operation | None:
    return Operation(Kind.CAST, None, is_reversed=False) if _is_float(dtype) else None


def _is_float(dtype: object) -> bool:
    return isinstance(dtype, str) and dtype.startswith(_FLOAT)


def _class(value: object) -> object:
    return cast("Mapping[str, object]", value).get("class_name") if isinstance(value, dict) else None


def _config(value: object) -> Mapping[str, object]:
    config = cast("Mapping[str, object]", value).get("config") if isinstance(value, dict) else None
    return cast("Mapping[str, object]", config) if isinstance(config, dict) else {}
