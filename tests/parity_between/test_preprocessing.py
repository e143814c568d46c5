"""numpy, PyTorch and the TensorFlow graph make the same input of an image: the official one, or Pillow's."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from effnet.images import load_bytes
from effnet_core import (
    CentreCrop,
    InvalidSpec,
    JpegDecoding,
    Offset,
    Preprocessing,
    Resampling,
    ShorterSide,
    WholeImage,
    plan,
    resolve,
)
from effnet_onnx.preprocessing import resized
from tests.preparing import FOLDER, JPEG, PLAIN, PNG, WAYS, decoded, decoded_by_graph, distance, official_cases

LIMIT = 1e-4 * 255
CASES = official_cases()
PILLOW = {Resampling.PILLOW_BICUBIC: 3, Resampling.PILLOW_BILINEAR: 2, Resampling.PILLOW_NEAREST: 0}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_the_official_preprocessing(case: str, way: str) -> None:
    rule, expected = CASES[case]
    assert distance(WAYS[way](decoded(JPEG, rule), rule), expected, rule) < LIMIT


def test_the_official_decoding() -> None:
    expected = np.load(FOLDER / "v1.npz")["decoded_jpeg"]
    np.testing.assert_array_equal(decoded(JPEG, PLAIN), expected)
    np.testing.assert_array_equal(decoded_by_graph(JPEG, JpegDecoding.FAST), expected)
    # The control: the other transform.
    assert np.abs(decoded(JPEG, replace(PLAIN, jpeg=JpegDecoding.ACCURATE)).astype(int) - expected).max() > 1
    with Image.open(io.BytesIO(PNG)) as image:
        np.testing.assert_array_equal(decoded(PNG, PLAIN), np.asarray(image))


def otherwise(case: str) -> dict[str, Preprocessing]:
    """The rule of a case with one thing changed."""
    rule = CASES[case][0]
    found = {"other transform": replace(rule, jpeg=JpegDecoding.ACCURATE)}
    for resampling in Resampling:
        if resampling is not rule.resampling:
            found[resampling] = replace(rule, resampling=resampling)
    if isinstance(rule.crop, CentreCrop):
        other = Offset.FLOOR if rule.crop.offset is Offset.CEILING else Offset.CEILING
        found["other padding"] = replace(rule, crop=replace(rule.crop, padding=rule.crop.padding + 7))
        found["other offset"] = replace(rule, crop=replace(rule.crop, offset=other))
        found["no crop"] = replace(rule, crop=WholeImage())
    return found


@pytest.mark.parametrize("case", ["v1_bicubic_96", "v1_bilinear_96", "v2_96", "v2_legacy_96", "v2_ft_64"])
def test_another_rule_is_seen(case: str) -> None:
    expected = CASES[case][1]
    for name, rule in otherwise(case).items():
        assert distance(WAYS["numpy"](decoded(JPEG, rule), rule), expected, rule) > 10 * LIMIT, name


def test_the_weights_of_another_kernel_are_seen() -> None:
    """Half pixels alone, and a = -0.5 alone: what the two kernels of TensorFlow do not separate."""
    rule, expected = CASES["v1_bicubic_96"]
    image = decoded(JPEG, rule)
    made = plan(rule, height=image.shape[0], width=image.shape[1])
    softer = plan(replace(rule, resampling=Resampling.HALF_PIXEL_BICUBIC), height=image.shape[0], width=image.shape[1])
    mixed = replace(made, rows=softer.rows)
    assert np.abs(resized(image, made) - expected).max() < LIMIT
    assert np.abs(resized(image, mixed) - expected).max() > 40 * LIMIT


def by_pillow(image: np.ndarray, rule: Preprocessing) -> np.ndarray:
    """As timm's and torchvision's transforms resize and crop, with Pillow itself."""
    picture, side = Image.fromarray(image), rule.resolution
    if isinstance(rule.crop, WholeImage):
        return np.asarray(picture.resize((side, side), PILLOW[rule.resampling]), np.float32)
    height, width = image.shape[:2]
    short, long = rule.crop.side, int(rule.crop.side * max(height, width) / min(height, width))
    size = (short, long) if width <= height else (long, short)
    left, top = (round((length - side) / 2) for length in size)
    found = picture.resize(size, PILLOW[rule.resampling]).crop((left, top, left + side, top + side))
    return np.asarray(found, np.float32)


@cache
def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("way", ["torch", "graph"])
@pytest.mark.parametrize("resampling", PILLOW)
@pytest.mark.parametrize(("height", "width"), [(97, 131), (131, 97), (300, 21), (33, 47)])
def test_pillow_s_own_resampling(way: str, resampling: Resampling, height: int, width: int) -> None:
    for crop in (WholeImage(), ShorterSide(side=73)):
        rule = replace(PLAIN, resolution=64, crop=crop, resampling=resampling)
        np.testing.assert_array_equal(WAYS[way](noise(height, width), rule), by_pillow(noise(height, width), rule))


SIDES = st.integers(1, 260)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SIDES, SIDES, st.integers(1, 90), st.sampled_from(list(PILLOW)), st.booleans())
def test_pillow_s_resampling_of_any_size(
    height: int, width: int, side: int, resampling: Resampling, whole: bool
) -> None:
    crop = WholeImage() if whole else ShorterSide(side=side + 5)
    rule = replace(PLAIN, resolution=side, crop=crop, resampling=resampling)
    np.testing.assert_array_equal(WAYS["numpy"](noise(height, width), rule), by_pillow(noise(height, width), rule))


CROPS = {
    "v1": CentreCrop(padding=9, offset=Offset.CEILING),
    "v2": CentreCrop(padding=9, offset=Offset.FLOOR),
    "whole": WholeImage(),
    "shorter": ShorterSide(side=41),
}
RULES = [
    replace(PLAIN, resolution=37, crop=CROPS[crop], resampling=resampling)
    for crop, resampling in (
        ("v1", Resampling.LEGACY_BICUBIC),
        ("v2", Resampling.HALF_PIXEL_BILINEAR),
        ("whole", Resampling.HALF_PIXEL_BICUBIC),
        ("v1", Resampling.LEGACY_BILINEAR),
        ("shorter", Resampling.PILLOW_BICUBIC),
        ("shorter", Resampling.HALF_PIXEL_BILINEAR),
    )
]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(SIDES, SIDES, st.sampled_from(RULES))
def test_all_three_are_equal_at_any_size(height: int, width: int, rule: Preprocessing) -> None:
    one, other, third = (prepare(noise(height, width), rule) for prepare in WAYS.values())
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, third)


def test_clipping() -> None:
    rule = replace(PLAIN, resolution=50, crop=WholeImage(), clips=True)
    for prepare in WAYS.values():
        found, unclipped = prepare(noise(97, 131), rule), prepare(noise(97, 131), replace(rule, clips=False))
        assert (unclipped.min() < 0, unclipped.max() > 255) == (True, True)
        np.testing.assert_array_equal(found, unclipped.clip(0, 255))


@pytest.mark.parametrize("recipe", ["autoaugment", "lite", "v2", "v2-21k-ft1k"])
def test_a_photograph(recipe: str) -> None:
    data = pytest.importorskip("skimage.data", reason="the extra `demo` is not installed")
    jpeg = (Path(data.__file__).parent / "rocket.jpg").read_bytes()
    rule = resolve("v2-s" if recipe.startswith("v2") else "b0", recipe=recipe, resolution=224).preprocessing
    expected = load_bytes(jpeg, rule)
    image = decoded_by_graph(jpeg, rule.jpeg)
    assert image.shape == (427, 640, 3)
    np.testing.assert_array_equal(image, decoded(jpeg, rule))
    for prepare in WAYS.values():
        # The graph's optimiser makes a product of the division by the scale: the last bit may differ.
        assert distance(prepare(image, rule), expected, rule) < 1e-4


@pytest.mark.parametrize("way", ["numpy", "torch"])
def test_other_arrays_are_refused(way: str) -> None:
    for image in (np.zeros((5, 5), np.uint8), np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3), np.float32)):
        with pytest.raises(InvalidSpec, match="expected"):
            WAYS[way](image, PLAIN)
