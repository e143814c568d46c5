"""What timm's config.json says of the preprocessing, as its folders on the Hugging Face hub have it."""

import json
from dataclasses import replace

import pytest

from converters.dialects._timm_config import configured
from converters.dialects.dialect import Configured
from converters.meaning import normalised_by
from effnet_core import Crop, JpegDecoding, Preprocessing, Resampling, ShorterSide, WholeImage, resolve

PUBLISHED = {  # timm/tf_efficientnetv2_b0.in1k
    "architecture": "tf_efficientnetv2_b0",
    "num_classes": 1000,
    "num_features": 1280,
    "pretrained_cfg": {
        "tag": "in1k",
        "input_size": [3, 192, 192],
        "test_input_size": [3, 224, 224],
        "interpolation": "bicubic",
        "crop_pct": 0.875,
        "crop_mode": "center",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    },
}
RULE = resolve("v2-b0").preprocessing


def _said(**fields: object) -> Configured:
    return configured(
        resolve("v2-b0"),
        {"config.json": json.dumps(PUBLISHED | {"pretrained_cfg": PUBLISHED["pretrained_cfg"] | fields})},
    )


def _rule(**fields: object) -> Preprocessing:
    return _said(**fields).spec.preprocessing


def test_a_published_one_normalises_as_the_recipe_and_resizes_as_timm_does() -> None:
    found = _said()
    assert found.pixels is not None
    own = replace(RULE, crop=ShorterSide(side=256), resampling=Resampling.PILLOW_BICUBIC, jpeg=JpegDecoding.ACCURATE)
    assert normalised_by(found.spec.preprocessing, found.pixels) == own
    assert found.spec == replace(resolve("v2-b0"), preprocessing=own)


@pytest.mark.parametrize(
    ("fields", "resolution", "crop"),
    [
        ({"test_input_size": None}, 192, ShorterSide(side=219)),
        ({"test_input_size": [3, 384, 384], "crop_pct": 1.0}, 384, ShorterSide(side=384)),
        ({"crop_pct": 1.0, "crop_mode": "squash"}, 224, WholeImage()),
        ({"crop_pct": 0.9, "crop_mode": "squash"}, 224, RULE.crop),
        ({"crop_pct": 0.9, "test_crop_pct": 0.95}, 224, ShorterSide(side=235)),
        ({"test_input_size": [3, 224, 225]}, 224, RULE.crop),
        ({"crop_pct": "1"}, 224, RULE.crop),
    ],
)
def test_sizes_and_crops(fields: dict[str, object], resolution: int, crop: Crop) -> None:
    assert (_rule(**fields).resolution, _rule(**fields).crop) == (resolution, crop)


def test_other_fields() -> None:
    assert _rule(interpolation="bilinear").resampling is Resampling.PILLOW_BILINEAR
    assert _rule(interpolation="random") == RULE
    assert _said(mean=[1, 2], std=[0.5, 0.5, 0.5]).pixels is None
    assert _said(std=[0.5, 0, 0.5]).pixels is None
    half = _said(mean=[0.5] * 3, std=[0.5] * 3).pixels
    assert half is not None
    assert (half.mean[0], half.scale[0]) == (127.5, 127.5)


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_other_texts_say_nothing(text: str) -> None:
    spec = resolve("b0")
    assert configured(spec, {"config.json": text}) == Configured(spec=spec)
    assert configured(spec, {}) == Configured(spec=spec)


def test_another_architecture_is_told_and_says_nothing_else() -> None:
    spec = resolve("b0")
    said = configured(spec, {"config.json": '{"architecture": "resnet50", "pretrained_cfg": {"mean": 1}}'})
    assert said == Configured(
        spec=spec, notes=("The file config.json says 'resnet50', which is none of timm's names.",)
    )
