"""What the configuration of a Keras model says of a network's layers, in memory; tests/foreign asks Keras itself."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters import Checkpoint, SourceOptions, UnknownArchitecture
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import Norm, Padding, resolve, to_json, without_classifier
from tests.converters.memory import in_dialect
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, depth=0.5, num_classes=10)
ARRAYS = in_dialect("keras-applications", SPEC, lively_state(SPEC))


HUB = without_classifier(replace(SPEC, padding=Padding.SYMMETRIC))


def layer(kind: str, name: str, **settings: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **settings}}


def opened(
    *behind: dict[str, Any],
    before: Sequence[dict[str, Any]] = (),
    epsilon: object = 1e-3,
    options: SourceOptions | None = None,
    **metadata: str,
) -> Checkpoint:
    """The network whose configuration has its last norm, these layers behind it and those before it, in one row."""
    norm = layer("BatchNormalization", "top_bn", epsilon=epsilon)
    behind = behind or (layer("Activation", "top_activation", activation="swish"),)
    reader = MemoryReader(ARRAYS, path=Path("m"), format="memory")
    text = json.dumps({"class_name": "Sequential", "config": {"layers": [*before, norm, *behind]}})
    reader.metadata = {"model_config": text, **metadata}
    return understand(reader, options or SourceOptions())


@pytest.mark.parametrize(
    "following",
    [
        layer("Activation", "a", activation="swish"),
        layer("Activation", "a", activation="silu"),
        layer(
            "Activation", "a", activation={"class_name": "function", "config": "silu", "registered_name": "function"}
        ),
        layer("Activation", "a", activation="own>swish"),  # of somebody who registered it
        layer("Activation", "a", activation=7),
        layer("Lambda", "a"),
    ],
)
def test_what_may_be_the_network_is_read(following: dict[str, Any]) -> None:
    assert opened(following).spec.norm == SPEC.norm


@pytest.mark.parametrize(
    ("following", "name"),
    [
        (layer("Activation", "a", activation="relu"), "relu"),
        (layer("Activation", "a", activation={"class_name": "function", "config": "gelu"}), "gelu"),
        (layer("Activation", "a", activation="linear"), "linear"),
        (layer("ReLU", "a"), "relu"),
        (layer("ReLU", "a", max_value=6.0), "relu6"),
        (layer("LeakyReLU", "a", negative_slope=0.1), "leaky_relu"),
    ],
)
def test_another_activation_is_refused(following: dict[str, Any], name: str) -> None:
    with pytest.raises(UnknownArchitecture, match=f"the activation {name} behind top_bn: that is not efficientnet-b0"):
        opened(following)
    for options, flag in (
        (SourceOptions(arch="b0", width=0.13, depth=0.5), "--arch .arch=.... says: leave that away"),
        (SourceOptions(dialect="keras-applications"), "--from .dialect=.... says: leave that away"),
        (SourceOptions(arch="b0", dialect="keras-applications", width=0.13, depth=0.5), "--arch .* and --from .* say"),
    ):
        with pytest.raises(UnknownArchitecture, match=f"the activation {name} behind top_bn: .* It is read as {flag}"):
            opened(following, options=options)
        assert opened(options=options).spec.head == SPEC.head
    assert opened(following, options=SourceOptions(spec=SPEC)).spec == SPEC
    assert opened(following, **{"effnet.spec": to_json(SPEC)}).spec == SPEC


@pytest.mark.parametrize(("epsilon", "expected"), [(1e-3, 1e-3), (1e-5, 1e-5), (1, 1.0)])
def test_one_epsilon_is_taken(epsilon: float, expected: float) -> None:
    assert SPEC.norm is not None
    checkpoint = opened(epsilon=epsilon)
    assert checkpoint.spec.norm == replace(SPEC.norm, epsilon=expected)
    assert any("and so the network is taken" in note for note in checkpoint.notes) is (epsilon != 1e-3)


@pytest.mark.parametrize("epsilon", [0, -1e-3, "0.001", None, True, float("nan")])
def test_an_epsilon_that_is_none_is_refused(epsilon: object) -> None:
    with pytest.raises(UnknownArchitecture, match="epsilons 0 in top_bn"):
        opened(epsilon=epsilon)


@pytest.mark.parametrize("kind", ["EfficientNetBackbone", "EfficientNetImageClassifier", "Sequential"])
def test_settings_of_keras_hub_are_read_or_refused(kind: str) -> None:
    def of_hub(**fields: object) -> Norm | None:
        config = {"class_name": "EfficientNetBackbone", "config": {"name": "backbone", **fields}}
        if kind == "Sequential":
            config = {"class_name": kind, "config": {"layers": [layer("Rescaling", "r", scale=0.5), config]}}
        elif kind != "EfficientNetBackbone":
            config = {"class_name": kind, "config": {"backbone": config, "pooling": "avg"}}
        reader = MemoryReader(in_dialect("keras-hub", HUB, lively_state(HUB)), path=Path("m"), format="memory")
        reader.metadata = {"model_config": json.dumps(config)}
        return understand(reader, SourceOptions()).spec.norm

    assert HUB.norm is not None
    assert of_hub(activation="swish", batch_norm_epsilon=1e-5) == replace(HUB.norm, epsilon=1e-5)
    assert of_hub(activation="silu", batch_norm_epsilon=0.01) == replace(HUB.norm, epsilon=0.01)
    with pytest.raises(UnknownArchitecture, match="the activation relu behind top_bn"):
        of_hub(activation="relu", batch_norm_epsilon=1e-5)
    with pytest.raises(UnknownArchitecture, match="epsilons 0 in top_bn"):
        of_hub(activation="swish", batch_norm_epsilon="small")
    strides = [block.stride for block in SPEC.blocks if block.repeat == 0]
    usual = {"stackwise_strides": strides, "include_stem_padding": True, "stem_conv_padding": "valid"}
    assert of_hub(**usual, projection_activation=None) == replace(HUB.norm, epsilon=1e-5)
    for changed, said in (
        ({"include_stem_padding": False}, "another padding than symmetric in stem_conv"),
        ({"stem_conv_padding": "same"}, "another padding than symmetric in stem_conv"),
        ({"include_stem_padding": False, "stem_conv_padding": "same"}, "another padding than symmetric in stem_conv"),
        ({"stackwise_strides": [1, 2, 4, 2, 1, 2, 1]}, "the stride 4 in block3a_dwconv"),
        ({"projection_activation": "swish"}, "the activation swish behind block1a_project_bn"),
    ):
        with pytest.raises(UnknownArchitecture, match=said):
            of_hub(**usual | changed)


@pytest.mark.parametrize(
    ("config", "strides"),
    [
        ({"strides": 1, "padding": "same"}, 1),
        ({"strides": (1, 1), "padding": "same", "dilation_rate": 1}, 1),
        ({"strides": [2, 2], "padding": "same"}, 2),
        ({"dilation_rate": [1, 1]}, 2),
        ({}, 2),
    ],
)
def test_a_stride_is_taken(config: dict[str, Any], strides: int) -> None:
    checkpoint = opened(before=[layer("Conv2D", "stem_conv", **config)])
    usual = opened().spec
    assert checkpoint.spec == replace(usual, stem=replace(usual.stem, stride=strides))
    assert any("has the stride" in note for note in checkpoint.notes) is (strides != 2)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"strides": 0}, "the stride 0 in stem_conv"),
        ({"strides": "2"}, "the stride '2' in stem_conv"),
        ({"strides": [2, 2, 2]}, "the stride .* in stem_conv"),
        ({"strides": None}, "the stride None in stem_conv"),
        ({"strides": True}, "the stride True in stem_conv"),
        ({"strides": [2, 1]}, "the stride .2, 1. in stem_conv"),
        ({"dilation_rate": "x" * 1000}, "the dilation 'x{19} in stem_conv"),
        ({"padding": "causal"}, "another padding than same in stem_conv"),
        ({"padding": ["same"]}, "another padding than same in stem_conv"),
        ({"padding": "valid"}, "another padding than same in stem_conv"),
    ],
)
def test_what_no_stem_has_is_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(UnknownArchitecture, match=f"configuration has {said}"):
        opened(before=[layer("Conv2D", "stem_conv", **config)])


@pytest.mark.parametrize(
    ("padding", "front", "is_read"),
    [
        ([[0, 1], [0, 1]], [], True),
        ([[0, 1], [1, 1]], [layer("InputLayer", "i", batch_shape=[None, 64, 65, 3])], True),
        ([[1, 1], [0, 1]], [layer("InputLayer", "i", batch_shape=[None, 64, 65, 3])], False),
        ([[1, 1], [1, 1]], [layer("InputLayer", "i", batch_input_shape=[None, 65, 65, 3])], True),
        (1, [layer("InputLayer", "i", batch_shape=[None, 65, 65, 3])], True),
        (1, [layer("InputLayer", "i", batch_shape=[None, 64, 64, 3])], False),
        (1, [layer("InputLayer", "i", batch_shape=[None, None, None, 3])], False),  # symmetric at every size
        (1, [], False),
        (1, [layer("InputLayer", "i", batch_shape=[None, 10])], False),
        (1, [layer("InputLayer", "i", batch_shape=[None, 64, 64, 3]), layer("Resizing", "r", height=9, width=9)], True),
        (1, [layer("InputLayer", "i", batch_shape=[None, 9, 9, 3]), layer("Resizing", "r", height=8, width=8)], False),
        # A size that cannot be told explains zeros of any kind, but symmetric ones everywhere are more likely a policy.
        ([[0, 1], [1, 1]], [layer("InputLayer", "i", batch_shape=[None, 64, 64, 3]), layer("Lambda", "l")], True),
        (1, [layer("InputLayer", "i", batch_shape=[None, 64, 64, 3]), layer("Lambda", "l")], False),
        ([[1, 0], [1, 0]], [layer("InputLayer", "i", batch_shape=[None, 64, 64, 3])], False),
        ("wide", [], False),
    ],
)
def test_padding_by_a_layer_of_its_own(padding: object, front: list[dict[str, Any]], is_read: bool) -> None:
    zeros = layer("ZeroPadding2D", "pad", padding=padding)
    before = [*front, zeros, layer("Conv2D", "stem_conv", strides=2, padding="valid")]
    if is_read:
        assert opened(before=before).spec.padding is Padding.SAME
        return
    with pytest.raises(UnknownArchitecture, match="another padding than same in stem_conv"):
        opened(before=before)


def test_a_residual_has_no_stride() -> None:
    index = next(index for index, block in enumerate(SPEC.blocks) if block.has_residual)
    block = SPEC.blocks[index]
    name = f"block{block.stage}{'abcdefgh'[block.repeat]}_dwconv"
    with pytest.raises(UnknownArchitecture, match=f"the stride 2 in {name}"):
        opened(before=[layer("DepthwiseConv2D", name, strides=2, padding="same")])


def test_what_takes_the_result_of_a_projection_beside_an_activation_does_not_matter() -> None:
    def node(name: str) -> Any:
        return [[[name, 0, 0, {}]]]

    rows = [
        layer("BatchNormalization", "block2a_project_bn") | {"inbound_nodes": []},
        layer("ReLU", "branch") | {"inbound_nodes": node("block2a_project_bn")},
        layer("Conv2D", "top_conv") | {"inbound_nodes": node("block2a_project_bn")},
        layer("BatchNormalization", "top_bn") | {"inbound_nodes": node("top_conv")},
        layer("Activation", "top_activation", activation="swish") | {"inbound_nodes": node("top_bn")},
    ]
    for refused in (False, True):
        reader = MemoryReader(ARRAYS, path=Path("m"), format="memory")
        listed = [*rows[:2], rows[3] | {"inbound_nodes": node("branch")}, rows[4]] if refused else rows
        reader.metadata = {"model_config": json.dumps({"class_name": "Functional", "config": {"layers": listed}})}
        if not refused:
            assert understand(reader, SourceOptions()).spec.blocks == opened().spec.blocks
            continue
        with pytest.raises(UnknownArchitecture, match="the activation relu behind block2a_project_bn"):
            understand(reader, SourceOptions())
