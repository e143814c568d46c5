"""The way from the input to the first convolution, in configurations as Keras 2 and Keras 3 write them."""

import json
from typing import Any

import pytest

from converters.keras_models.config import layers_before


def layer(name: str, kind: str, before: Any = None, **config: Any) -> dict[str, Any]:
    nodes = {} if before is None else {"inbound_nodes": before}
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, **nodes}


def keras_2(*names: str) -> Any:
    return [[[name, 0, 0, {}] for name in names]] if names else []


def keras_3(*names: str) -> Any:
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}} for name in names]
    return [{"args": tensors, "kwargs": {}}] if names else []


def functional(nodes: Any, *, name: str = "inner") -> dict[str, Any]:
    return layer(
        name,
        "Functional",
        layers=[
            layer("image", "InputLayer", nodes()),
            layer("rescaling", "Rescaling", nodes("image"), scale=0.5),
            layer("normalization", "Normalization", nodes("rescaling")),
            layer("stem_conv", "Conv2D", nodes("normalization")),
            layer("beside", "Rescaling", nodes("stem_conv")),
        ],
        output_layers=[["beside", 0, 0]],
    )


def sequential(*layers: dict[str, Any], name: str = "outer") -> dict[str, Any]:
    return layer(name, "Sequential", layers=list(layers))


def way(document: Any, name: str = "stem_conv") -> list[str] | None:
    found = layers_before(json.dumps(document), name)
    return None if found is None else [step.path for step in found]


OWN = ["image", "rescaling", "normalization"]
INNER = [f"inner/{name}" for name in OWN]


@pytest.mark.parametrize("nodes", [keras_2, keras_3])
def test_a_functional_model(nodes: Any) -> None:
    assert way(functional(nodes)) == OWN
    [_, rescaling, _] = layers_before(json.dumps(functional(nodes)), "stem_conv") or ()
    assert (rescaling.kind, rescaling.config["scale"]) == ("Rescaling", 0.5)


@pytest.mark.parametrize("nodes", [keras_2, keras_3])
def test_models_inside_models(nodes: Any) -> None:
    flips = sequential(layer("flip", "RandomFlip"), layer("scale", "Rescaling"), name="augment")
    assert way(sequential(flips, functional(nodes))) == ["augment/flip", "augment/scale", *INNER]
    two = sequential(functional(nodes, name="first"), functional(nodes))
    through = [*(f"first/{name}" for name in OWN), "first/stem_conv", "first/beside"]
    assert way(two) is None  # it does not say which
    assert way(two, "first/stem_conv") == through[:3]
    assert way(two, "inner/stem_conv") == [*through, *INNER]
    nested = layer(
        "outer",
        "Functional",
        layers=[
            layer("photo", "InputLayer", nodes()),
            layer("outer_scale", "Rescaling", nodes("photo")),
            functional(nodes) | {"inbound_nodes": nodes("outer_scale")},
        ],
    )
    assert way(nested) == ["photo", "outer_scale", *INNER]


def test_several_ways_are_no_way() -> None:
    model = functional(keras_3)
    model["config"]["layers"][3]["inbound_nodes"] = keras_3("normalization", "image")
    assert way(model) is None


@pytest.mark.parametrize("nodes", [keras_2, keras_3])
def test_what_comes_together_in_front_is_named_and_not_followed(nodes: Any) -> None:
    outer = layer(
        "outer",
        "Functional",
        layers=[
            layer("photo", "InputLayer", nodes()),
            layer("flip", "RandomFlip", nodes("photo")),
            layer("both", "Concatenate", nodes("photo", "flip")),
            layer("scale", "Rescaling", nodes("both")),
            functional(nodes) | {"inbound_nodes": nodes("scale")},
        ],
    )
    found = layers_before(json.dumps(outer), "stem_conv") or ()
    assert [step.path for step in found] == ["photo", "flip", "both", "scale", *INNER]
    assert [step.path for step in found if not step.is_followed] == ["photo", "flip"]
    shared = outer["config"]["layers"][-1] | {"inbound_nodes": [*nodes("photo"), *nodes("flip")]}
    outer["config"]["layers"][-1] = shared
    found = layers_before(json.dumps(outer), "stem_conv") or ()
    assert [(step.path, step.is_followed) for step in found[:3]] == [
        ("photo", False),
        ("flip", False),
        (INNER[0], True),
    ]


def test_a_circle_is_no_way() -> None:
    model = functional(keras_2)
    model["config"]["layers"][0]["inbound_nodes"] = keras_2("rescaling")
    assert way(model) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        "[" * 100_000,
        '{"config": {"layers": {}}}',
        '{"config": {"layers": [1, {"config": []}]}}',
    ],
)
def test_anything_else_is_no_configuration(text: str) -> None:
    assert layers_before(text, "stem_conv") is None


def test_models_in_models_without_end_are_no_configuration() -> None:
    model = functional(keras_3)
    for _ in range(50):
        model = sequential(model)
    assert way(model) is None
