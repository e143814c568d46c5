"""Arithmetic in front of a network, as Keras 2 and Keras 3 write it into configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import Checkpoint, SourceOptions
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import resolve
from tests.converters.memory import in_dialect
from tests.lively import lively_state

V2 = resolve("efficientnetv2-s", width=0.13, depth=0.5, num_classes=10)
OTHER = {"class_name": "Rescaling", "config": {"name": "other", "scale": 2.0}}
PIXELS = np.random.default_rng(0).uniform(0, 255, (5, 3))


def keras2(*functions: tuple[str, Any]) -> str:
    """A functional model of tf.keras 2: functions and their calls, where `image` is the result of the one before."""
    layers: list[dict[str, Any]] = [{"class_name": "InputLayer", "config": {"name": "image"}, "inbound_nodes": []}]
    for number, (function, call) in enumerate(functions):
        before = layers[-1]["config"]["name"]
        written = json.loads(json.dumps(call).replace('"image"', f'"{before}"'))
        config = {"name": f"tf.{function}_{number}", "function": function}
        layers.append({"class_name": "TFOpLambda", "config": config, "inbound_nodes": [written]})
    calls = [[[layers[-1]["config"]["name"], 0, 0, {}]]]
    layers.append({"class_name": "Conv2D", "config": {"name": "stem_conv"}, "inbound_nodes": calls})
    other = OTHER | {"inbound_nodes": [[["image", 0, 0, {}]]]}
    return json.dumps({"class_name": "Functional", "config": {"layers": [other, *layers]}})


def first(**options: Any) -> list[Any]:
    """A call whose first argument is the tensor."""
    return ["image", 0, 0, options | {"name": None}]


def after(constant: Any) -> list[Any]:
    """A call whose first argument is a constant."""
    return ["_CONSTANT_VALUE", -1, constant, {"y": ["image", 0, 0], "name": None}]


def opened(text: str) -> Checkpoint:
    reader = MemoryReader(in_dialect("keras-applications-v2", V2, lively_state(V2)), path=Path("m"), format="memory")
    reader.metadata = {"model_config": text}
    return understand(reader, SourceOptions())


FOLLOWED: dict[str, tuple[str, Any]] = {
    "divided": (keras2(("math.truediv", first(y=255.0))), PIXELS / 255),
    "divided by division": (keras2(("math.divide", first(y=255))), PIXELS / 255),
    "shifted": (keras2(("math.subtract", first(y=127.5)), ("math.truediv", first(y=127.5))), PIXELS / 127.5 - 1),
    "added": (keras2(("math.multiply", first(y=1 / 64)), ("__operators__.add", first(y=-2.0))), PIXELS / 64 - 2),
    "in lists": (keras2(("math.multiply", [first(y=1 / 255)])), PIXELS / 255),
    "cast": (keras2(("cast", first(dtype="float32")), ("math.truediv", first(y=255.0))), PIXELS / 255),
    "constant first": (keras2(("math.add", after(5.0)), ("math.multiply", after(2.0))), (PIXELS + 5) * 2),
    "mirrored": (keras2(("math.subtract", after(1.0)), ("math.subtract", after(3.0))), PIXELS + 2),
    "of channels": (keras2(("math.subtract", first(y=[1.0, 2.0, 3.0]))), PIXELS - [1, 2, 3]),
    "of an image of one pixel": (keras2(("math.truediv", first(y=[[[[1.0, 2.0, 4.0]]]]))), PIXELS / [1, 2, 4]),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_functions_of_keras_2_are_followed(name: str) -> None:
    text, expected = FOLLOWED[name]
    checkpoint = opened(text)
    rule = checkpoint.spec.preprocessing
    np.testing.assert_allclose((PIXELS - rule.mean) / rule.scale, expected, rtol=1e-6, atol=1e-6)
    assert not any("In front of the network" in note for note in checkpoint.notes)


LEFT_OUT: dict[str, list[tuple[str, Any]]] = {
    "two tensors": [("__operators__.add", first(y=["other", 0, 0]))],
    "a tensor divided by": [("math.truediv", after(1.0))],
    "divided by nothing": [("math.truediv", first(y=0.0))],
    "divided by next to nothing": [("math.truediv", first(y=5e-324))],
    "another function": [("math.floordiv", first(y=2.0))],
    "no function": [("math.truediv", ["image", 0, 0, {}])],
    "rounded": [("cast", first(dtype="uint8"))],
    "mirrored": [("math.subtract", after(255.0))],
    "numbers of rows": [("math.subtract", first(y=[[[1.0]], [[2.0]], [[3.0]]]))],
    "too many numbers": [("math.subtract", first(y=[1.0, 2.0]))],
    "a text": [("math.subtract", first(y="1"))],
    "called twice": [("math.subtract", [first(y=1.0), first(y=1.0)])],
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_others_are_left_out(name: str) -> None:
    checkpoint = opened(keras2(*LEFT_OUT[name]))
    [said] = [note for note in checkpoint.notes if "In front of the network" in note]
    assert "TFOpLambda tf." in said
    assert checkpoint.spec.preprocessing == V2.preprocessing


def keras3(kind: str, args: list[Any], *, dtype: str = "float32", kwargs: Any = None) -> str:
    """A functional model of Keras 3 with one operation; `image` among the arguments is the tensor."""
    image = {"class_name": "__keras_tensor__", "config": {"dtype": dtype, "keras_history": ["image", 0, 0]}}
    result = {"class_name": "__keras_tensor__", "config": {"keras_history": ["operation", 0, 0]}}
    calls = [{"args": [image if one == "image" else one for one in args], "kwargs": kwargs or {}}]
    layers = [
        {"class_name": "InputLayer", "config": {"name": "image"}, "inbound_nodes": []},
        {"class_name": kind, "config": {"name": "operation"}, "inbound_nodes": calls},
        {
            "class_name": "Conv2D",
            "config": {"name": "stem_conv"},
            "inbound_nodes": [{"args": [result], "kwargs": {}}],
        },
    ]
    return json.dumps({"class_name": "Functional", "config": {"layers": layers}})


@pytest.mark.parametrize(
    ("text", "is_followed"),
    [
        (keras3("Subtract", ["image", 3]), True),
        (keras3("Subtract", ["image", {"class_name": "__numpy__", "config": {"value": [3.0]}}]), True),
        (keras3("Subtract", ["image", {"class_name": "__other__", "config": {"value": [3.0]}}]), False),
        (keras3("Subtract", ["image", 3], dtype="uint8"), False),
        (keras3("Subtract", ["image", 3], kwargs={"more": 1}), False),
        (keras3("Subtract", [["image", 3]]), False),
        (keras3("Subtract", ["image"]), False),
        (keras3("Subtract", ["image", None]), False),
        (keras3("Maximum", ["image", 3]), False),
    ],
)
def test_operations_of_keras_3(text: str, is_followed: bool) -> None:
    checkpoint = opened(text)
    assert any("In front of the network" in note for note in checkpoint.notes) is not is_followed
    expected = (3.0,) * 3 if is_followed else V2.preprocessing.mean
    assert checkpoint.spec.preprocessing.mean == expected
