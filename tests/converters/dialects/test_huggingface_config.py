"""The configuration that transformers reads, against its published ones (google/efficientnet-b0 to b7)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from converters.dialects._huggingface_config import NoConfig, companions, depthwise_padding, read_config, to_config
from effnet_core import NetworkSpec, Norm, Pooling, resolve

CLASSIFIER = resolve("b0").classifier
PUBLISHED_PADDING = {
    "b0": [],
    "b1": [16],
    "b2": [5, 8, 16],
    "b3": [5, 18],
    "b4": [6],
    "b5": [13, 27],
    "b6": [31],
    "b7": [18],
}
HIDDEN = {"b0": 1280, "b1": 1280, "b2": 1408, "b3": 1536, "b4": 1792, "b5": 2048, "b6": 2304, "b7": 2560}


@pytest.mark.parametrize("name", PUBLISHED_PADDING)
def test_the_published_configurations(name: str) -> None:
    spec = resolve(name)
    config = to_config(spec)
    assert config["depthwise_padding"] == PUBLISHED_PADDING[name]
    assert config["hidden_dim"] == HIDDEN[name]
    assert config["num_block_repeats"] == [1, 2, 2, 3, 3, 4, 1]
    assert config["out_channels"] == [16, 24, 40, 80, 112, 192, 320]
    assert (config["drop_connect_rate"], config["batch_norm_eps"], config["num_hidden_layers"]) == (0.2, 1e-3, 64)
    assert len(config["id2label"]) == 1000


def test_the_padding_follows_from_the_resolution() -> None:
    assert depthwise_padding(resolve("b0", resolution=130)) == [1, 3, 5, 11]
    assert depthwise_padding(resolve("b0", resolution=128)) == []


def test_what_is_written_is_read() -> None:
    spec = resolve("b0", width=0.5, depth=0.5, num_classes=7, in_channels=4, resolution=96, dropout_rate=0.3)
    spec = replace(spec, norm=Norm(epsilon=1e-5, decay=0.9))
    files = companions(spec)
    hints = read_config(files["config.json"])
    assert hints is not None
    assert (hints.width, hints.depth, hints.num_classes, hints.in_channels) == (0.5, 0.5, 7, 4)
    assert (hints.resolution, hints.epsilon, hints.dropout_rate) == (96, 1e-5, 0.3)
    assert json.loads(files["config.json"])["batch_norm_momentum"] == 0.1
    prepared = json.loads(files["preprocessor_config.json"])
    assert prepared["image_mean"] == pytest.approx([0.485, 0.456, 0.406])
    assert prepared["image_std"] == pytest.approx([0.229, 0.224, 0.225])
    assert prepared["include_top"] is False


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (resolve("lite0"), "the family efficientnet alone"),
        (resolve("v2-s"), "the family efficientnet alone"),
        (resolve("b0", resolution=225), "even sides alone"),
        (resolve("b0", width=0.13), "no residual in the first block"),
        (replace(resolve("b0"), depth=1.1), "coefficients"),
        (replace(resolve("b0"), classifier=None), "ends with a head and a classifier"),
        (replace(resolve("b0"), classifier=replace(CLASSIFIER, pooling=Pooling.MAX)), "average pooling"),
    ],
)
def test_networks_that_it_cannot_describe(spec: NetworkSpec, message: str) -> None:
    with pytest.raises(NoConfig, match=message):
        companions(spec)


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", "{}", "null", '{"model_type": "resnet"}', "[" * 100_000, '{"model_type": 1}', "9" * 5000],
)
def test_other_texts_say_nothing(text: str) -> None:
    assert read_config(text) is None


def test_fields_that_make_no_sense_are_not_taken() -> None:
    fields = {"width_coefficient": "2", "depth_coefficient": True, "image_size": [600, 600], "num_channels": -3}
    hints = read_config(json.dumps({"model_type": "efficientnet", "batch_norm_eps": 1e999, "id2label": 3} | fields))
    assert hints is not None
    assert (hints.width, hints.depth, hints.resolution, hints.in_channels, hints.epsilon) == (None,) * 5
    assert hints.num_classes == 2
