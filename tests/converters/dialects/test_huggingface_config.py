"""The configuration that transformers reads, against its published ones (google/efficientnet-b0 to b7)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from converters.dialects._huggingface_config import NoConfig, companions, depthwise_padding, to_config
from converters.dialects._huggingface_reading import configured
from converters.dialects.dialect import Configured
from converters.meaning import normalised_by
from effnet_core import HiddenDropout, JpegDecoding, NetworkSpec, Norm, Resampling, WholeImage, resolve

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
    config = json.loads(files["config.json"])
    assert (config["num_channels"], len(config["id2label"]), config["batch_norm_momentum"]) == (4, 7, 0.1)
    prepared = json.loads(files["preprocessor_config.json"])
    assert prepared["image_mean"] == pytest.approx([0.485, 0.456, 0.406])
    assert prepared["image_std"] == pytest.approx([0.229, 0.224, 0.225])
    assert prepared["include_top"] is False
    found = configured(resolve("b0", width=0.5, depth=0.5, num_classes=7, in_channels=4), files)
    assert found.notes == ()
    assert found.pixels is not None
    assert normalised_by(spec.preprocessing, found.pixels) == spec.preprocessing
    squeezed = replace(
        spec.preprocessing,
        crop=WholeImage(),
        resampling=Resampling.PILLOW_BICUBIC,
        jpeg=JpegDecoding.ACCURATE,
    )
    classifier = replace(found.spec.classifier, dropout_rate=0.3)
    assert found.spec == replace(
        found.spec, preprocessing=squeezed, norm=Norm(epsilon=1e-5, decay=0.99), classifier=classifier
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (resolve("lite0"), "the family efficientnet alone"),
        (resolve("v2-s"), "the family efficientnet alone"),
        (resolve("b0", resolution=225), "even sides alone"),
        (resolve("b0", width=0.13), "coefficients"),  # a residual in the first block of a stage
        (replace(resolve("b0"), depth=1.1), "coefficients"),
        (replace(resolve("b0"), classifier=None, head=None), "has a head behind its blocks"),
        (
            replace(resolve("b0"), classifier=replace(CLASSIFIER, hidden=(HiddenDropout(dropout_rate=0.5),))),
            "one dense",
        ),
    ],
)
def test_networks_that_it_cannot_describe(spec: NetworkSpec, message: str) -> None:
    with pytest.raises(NoConfig, match=message):
        companions(spec)


PUBLISHED_PROCESSOR = {  # google/efficientnet-b0
    "crop_size": {"height": 289, "width": 289},
    "do_center_crop": False,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "EfficientNetImageProcessor",
    "image_std": [0.47853944, 0.4732864, 0.47434163],
    "include_top": True,
    "resample": 0,
    "rescale_factor": 0.00392156862745098,
    "rescale_offset": False,
    "size": {"height": 224, "width": 224},
}


def _said(processor: dict[str, object], config: dict[str, object] | None = None) -> Configured:
    texts = {"preprocessor_config.json": json.dumps(PUBLISHED_PROCESSOR | processor)}
    if config is not None:
        texts["config.json"] = json.dumps({"model_type": "efficientnet"} | config)
    return configured(resolve("b1"), texts)


def test_the_published_processor_divides_twice() -> None:
    found = _said({})
    assert found.pixels is not None
    assert normalised_by(resolve("b1").preprocessing, found.pixels) == resolve("b1").preprocessing
    assert found.spec.preprocessing.resolution == 224
    assert found.spec.preprocessing.resampling is Resampling.PILLOW_NEAREST
    assert any("divides pixels twice" in note for note in found.notes)


@pytest.mark.parametrize(
    ("processor", "mean", "scale"),
    [
        ({"include_top": False}, 0.485 * 255, 0.47853944 * 255),
        ({"include_top": False, "rescale_offset": True, "image_mean": [0, 0, 0]}, 255, 0.47853944 * 255),
        ({"include_top": False, "do_rescale": False}, 0.485, 0.47853944),
        ({"include_top": False, "do_normalize": False}, 0, 255),
        ({"do_normalize": False}, 0, 0.47853944 * 255),
        ({"include_top": False, "image_mean": 0.5, "image_std": 0.5}, 127.5, 127.5),
    ],
)
def test_what_a_processor_does_to_pixels(processor: dict[str, object], mean: float, scale: float) -> None:
    pixels = _said(processor).pixels
    assert pixels is not None
    assert (pixels.mean[0], pixels.scale[0]) == pytest.approx((mean, scale))


@pytest.mark.parametrize(("image_size", "padded", "warned"), [(240, [16], False), (240, [], True), (300, [16], True)])
def test_blocks_that_transformers_pads_wrongly_are_told(image_size: int, padded: list[int], warned: bool) -> None:
    size = {"height": 240, "width": 240}
    found = _said({"size": size}, {"image_size": image_size, "depthwise_padding": padded})
    assert any("transformers' own model gives other logits" in note for note in found.notes) is warned


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", "{}", "null", '{"model_type": "resnet"}', "[" * 100_000, '{"model_type": 1}', "9" * 5000],
)
def test_other_texts_say_nothing(text: str) -> None:
    texts = dict.fromkeys(("config.json", "preprocessor_config.json"), text)
    assert configured(resolve("b0"), texts) == Configured(spec=resolve("b0"))


def test_fields_that_make_no_sense_are_not_taken() -> None:
    config = {"dropout_rate": 1, "num_hidden_layers": "x", "depthwise_padding": [16]}
    size = {"height": -1, "width": True}
    for processor in ({"image_mean": [1, 2]}, {"image_std": [0, 1, 1]}, {"rescale_factor": "2"}):
        found = _said({"size": size, "include_top": False} | processor, config)
        assert found == Configured(spec=resolve("b1"))
