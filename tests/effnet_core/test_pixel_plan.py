import json
from dataclasses import replace

import pytest

from effnet_core import (
    RECIPES,
    Arithmetic,
    Box,
    CentreCrop,
    InvalidSpec,
    Offset,
    Resampling,
    ShorterSide,
    WholeImage,
    from_json,
    later_official_crop,
    plan,
    recipe_preprocessing,
    resolve,
    to_json,
)
from effnet_core.taps import taps

RULE = resolve("b0").preprocessing


@pytest.mark.parametrize(
    ("crop", "box"),
    [
        # 224 / 256 of 375 is 328.125; half of 375 - 328 rounded up, and down.
        (CentreCrop(padding=32, offset=Offset.CEILING), Box(top=24, left=86, height=328, width=328)),
        (CentreCrop(padding=32, offset=Offset.FLOOR), Box(top=23, left=86, height=328, width=328)),
        (WholeImage(), Box(top=0, left=0, height=375, width=500)),
        (ShorterSide(side=256), Box(top=0, left=0, height=375, width=500)),
    ],
)
def test_what_is_cut_out(crop, box):
    assert plan(replace(RULE, crop=crop), height=375, width=500).box == box


def test_the_side_of_a_crop_is_computed_in_float32():
    assert int(35 / (35 + 32) * 201) == 104  # in float64; the exact product is 105
    assert plan(replace(RULE, resolution=35), height=201, width=201).box.height == 105


def test_a_crop_has_at_least_one_pixel():
    assert plan(replace(RULE, resolution=1000), height=1, width=1).box.height == 1


def test_the_later_rule_of_the_official_code():
    assert [later_official_crop(size).padding for size in (224, 240, 600)] == [32, 34, 86]


def test_taps_by_hand():
    # Without half pixels the places of 4 pixels of 6 are 0, 1.5, 3, 4.5.
    found = taps(Resampling.LEGACY_BILINEAR, length=6, resized=4)
    assert found.indices == ((0, 0), (1, 2), (3, 3), (4, 5))
    assert found.weights == ((1, 0), (0.5, 0.5), (1, 0), (0.5, 0.5))
    # With them 0.25, 1.75, 3.25, 4.75.
    found = taps(Resampling.HALF_PIXEL_BILINEAR, length=6, resized=4)
    assert found.indices == ((0, 1), (1, 2), (3, 4), (4, 5))
    assert [row[1] for row in found.weights] == [0.25, 0.75, 0.25, 0.75]
    # Halfway between two pixels the four weights are (a, 4 - a, 4 - a, a) / 8, with a = -0.75.
    found = taps(Resampling.LEGACY_BICUBIC, length=6, resized=4)
    assert (found.indices[1], found.weights[1]) == ((0, 1, 2, 3), (-0.09375, 0.59375, 0.59375, -0.09375))
    assert found.indices[0] == (0, 0, 1, 2)
    # Outside taps count nothing with half pixels, and the others sum to 1.
    found = taps(Resampling.HALF_PIXEL_BICUBIC, length=6, resized=4)
    assert found.weights[0][0] == 0
    assert all(abs(sum(row) - 1) < 1e-6 for row in found.weights)
    # Pillow's triangle over twice the pixels where it halves: (1, 3, 3, 1) / 8 in 22 bits.
    found = taps(Resampling.PILLOW_BILINEAR, length=8, resized=4)
    assert found.weights[1][:4] == tuple(share * 2**19 for share in (1, 3, 3, 1))
    assert taps(Resampling.PILLOW_NEAREST, length=6, resized=4).indices == ((0,), (2,), (3,), (5,))


@pytest.mark.parametrize("resampling", Resampling)
def test_a_part_of_the_taps(resampling):
    whole = taps(resampling, length=31, resized=47)
    part = taps(resampling, length=31, resized=47, first=20, count=9)
    assert (part.indices, part.weights) == (whole.indices[20:29], whole.weights[20:29])
    assert {len(row) for row in (*whole.indices, *whole.weights)} == {len(whole.indices[0])}


def test_plans_say_how_to_add_up():
    orders = {one: plan(replace(RULE, resampling=one), height=300, width=200) for one in Resampling}
    assert [orders[one].arithmetic for one in (Resampling.LEGACY_BICUBIC, Resampling.LEGACY_BILINEAR)] == [
        Arithmetic.SUM,
        Arithmetic.BETWEEN,
    ]
    assert orders[Resampling.PILLOW_BICUBIC].arithmetic is Arithmetic.FIXED_POINT
    assert [orders[one].rows_first for one in (Resampling.LEGACY_BICUBIC, Resampling.LEGACY_BILINEAR)] == [True, False]
    squeezed = replace(RULE, crop=WholeImage(), resampling=Resampling.PILLOW_BICUBIC, resolution=100)
    assert [plan(squeezed, height=height, width=200).rows_first for height in (300, 301)] == [False, True]


def test_plans_are_kept():
    assert plan(RULE, height=300, width=200) is plan(RULE, height=300, width=200)


@pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (5, 65_536), (1, 65_535)])
def test_sides_that_no_plan_takes(height, width):
    rule = replace(RULE, crop=ShorterSide(side=300))
    with pytest.raises(InvalidSpec, match="expected"):
        plan(rule, height=height, width=width)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": ShorterSide(side=223)}, "224 pixels out of images whose shorter side is resized to 223"),
        ({"crop": CentreCrop(padding=-1, offset=Offset.FLOOR)}, "padding of its crop is -1"),
        ({"resolution": 0}, "images of 0 pixels"),
    ],
)
def test_definitions_that_cannot_be_done(change, message):
    spec = resolve("b0")
    with pytest.raises(InvalidSpec, match=message):
        replace(spec, preprocessing=replace(spec.preprocessing, **change))


@pytest.mark.parametrize("crop", [CentreCrop(padding=5, offset=Offset.FLOOR), WholeImage(), ShorterSide(side=300)])
def test_every_crop_survives_json(crop):
    spec = resolve("b0")
    spec = replace(spec, preprocessing=replace(spec.preprocessing, crop=crop, clips=True))
    assert from_json(to_json(spec)) == spec


@pytest.mark.parametrize("recipe", RECIPES)
def test_definitions_that_were_written_before_are_read(recipe):
    spec = resolve("b0", recipe=recipe, resolution=300)
    document = json.loads(to_json(spec))
    rule = document["network"]["preprocessing"]
    document["version"] = 1
    for name in ("clips", "jpeg"):
        del rule[name]
    rule["crop_padding"] = rule.pop("crop").get("padding")
    rule["interpolation"] = rule.pop("resampling").split("-")[-1]
    assert set(rule) == {"recipe", "resolution", "crop_padding", "interpolation", "mean", "scale"}
    assert from_json(json.dumps(document)) == spec


def test_older_fields_that_make_no_sense():
    document = json.loads(to_json(resolve("b0")))
    rule = document["network"]["preprocessing"]
    del rule["crop"], rule["resampling"]
    for padding, interpolation in (("a", "bicubic"), (32, "lanczos"), (32, None)):
        rule |= {"crop_padding": padding, "interpolation": interpolation}
        with pytest.raises(InvalidSpec, match="preprocessing"):
            from_json(json.dumps(document))
    rule |= {"crop_padding": 32, "interpolation": "bicubic"}
    assert from_json(json.dumps(document)) == resolve("b0")  # the control


def test_v2_crops_small_images_only():
    assert isinstance(recipe_preprocessing("v2", resolution=319).crop, CentreCrop)
    assert recipe_preprocessing("v2", resolution=320).crop == WholeImage()
