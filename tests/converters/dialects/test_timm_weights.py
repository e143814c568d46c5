"""What names of published weights say of how images are prepared, in files that are made with timm."""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters import SourceOptions
from converters.checkpoint import Checkpoint
from converters.dialects._timm_config import configured
from converters.dialects._timm_names import VARIANT_OF, tag_of
from converters.dialects._timm_weights import Evaluated, evaluated, is_halved, recipe_of
from effnet_core import RECIPES, VARIANTS, Resampling, resolve
from tests.converters.dialects.test_timm_statements import ASSUMED, beside, saved

TABLE = Path(__file__).parents[2] / "data" / "timm_tf_names.csv"
"""Every tf_ model of timm 1.0.31 with its weights, and how timm's own configuration prepares images for them;
`tests/foreign/test_timm.py` makes it again."""


def _numbers(text: str) -> tuple[float, float, float]:
    red, green, blue = map(float, text.split())
    return red, green, blue


with TABLE.open() as lines:
    PUBLISHED = {
        row["name"]: Evaluated(
            resolution=int(row["resolution"]),
            crop_pct=float(row["crop_pct"]),
            crop_mode=row["crop_mode"],
            interpolation=row["interpolation"],
            mean=_numbers(row["mean"]),
            std=_numbers(row["std"]),
        )
        for row in csv.DictReader(lines)
    }
HALF, IMAGENET = (127.5, 127.5, 127.5), RECIPES["baseline"].mean
EQUAL = {
    name for name in PUBLISHED if name.startswith(("tf_efficientnet_b", "tf_efficientnet_l2", "tf_efficientnetv2_b"))
}
EQUAL -= {"tf_efficientnetv2_b3.in21k"}
EQUAL |= {name for name in PUBLISHED if name.endswith("in21k_ft_in1k")}
"""Those that timm normalises as they were published: of the others it takes 127.5 for 127 or 128."""


def test_the_table_has_every_tf_model() -> None:
    assert len(PUBLISHED) == 64
    assert {VARIANT_OF[name.partition(".")[0]] for name in PUBLISHED} == set(VARIANTS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_images_are_prepared_as_timm_does_or_the_difference_is_told(name: str) -> None:
    own, model = PUBLISHED[name], name.partition(".")[0]
    spec = resolve(VARIANT_OF[model], num_classes=5)
    said = configured(spec, {"arch": name})
    rule = said.spec.preprocessing
    assert repr(name) in said.weights
    assert said.pixels is None
    assert rule.recipe in VARIANTS[spec.name].recipes
    assert f"prepares images for these weights so: {own}." in said.remark
    taken = (*rule.mean, *rule.scale)
    expected = [255 * value for value in (*own.mean, *own.std)]
    assert taken == pytest.approx(expected, abs=1e-6 if name in EQUAL else 0.51)
    assert (taken == pytest.approx(expected, abs=1e-6)) is (name in EQUAL)
    assert replace(said.spec, preprocessing=spec.preprocessing) == spec


def test_the_control_other_weights_of_the_same_model_are_prepared_otherwise() -> None:
    assert evaluated("tf_efficientnet_b0", "aa_in1k") != PUBLISHED["tf_efficientnet_b0.ap_in1k"]
    assert evaluated("tf_efficientnet_l2", "ns_jft_in1k") != PUBLISHED["tf_efficientnet_l2.ns_jft_in1k_475"]
    recipes = {name: recipe_of(name.partition(".")[0], tag_of(name)) for name in PUBLISHED}
    assert set(recipes.values()) == set(RECIPES)
    assert recipes["tf_efficientnetv2_b3.in1k"] == "v2-small"
    assert recipes["tf_efficientnetv2_s.in1k"] == "v2"
    assert recipes["tf_efficientnet_b5.in1k"] == "baseline"


@pytest.mark.parametrize(
    ("model", "tag", "recipe"),
    [
        ("tf_efficientnet_b0", "", None),
        ("tf_efficientnet_b0", "mine", None),
        ("tf_efficientnet_lite0", "ap_in1k", None),
        ("tf_efficientnetv2_xl", "in1k", "v2-21k-ft1k"),  # timm has no such weights; the variant's own come first
        ("efficientnet_b0", "ap_in1k", None),
    ],
)
def test_tags_that_tell_nothing(model: str, tag: str, recipe: str | None) -> None:
    assert recipe_of(model, tag) == recipe


# In files

TAGGED = "tf_efficientnet_b0.ap_in1k"


def files(name: str, folder: Path, options: SourceOptions | None = None) -> list[Checkpoint]:
    values: list[dict[str, Any]] = [
        {"arch": name},
        {"arch": "tf_efficientnet_b0", "args": argparse.Namespace(model=name, mean=None, std=None)},
        {"hyper_parameters": {"model_name": name}},
        {"hyper_parameters": {"encoder_name": f"tu-{name}"}},
    ]
    return [beside({"architecture": name}, options), *(saved(folder, one, options) for one in values)]


@pytest.mark.parametrize("name", [TAGGED, "tf_efficientnet_b0_ap", f"hf-hub:timm/{TAGGED}"])
def test_a_name_tells_the_recipe_of_its_weights(name: str, tmp_path: Path) -> None:
    for found in files(name, tmp_path):
        assert found.dialect.name == "timm"
        rule = found.spec.preprocessing
        assert (rule.recipe, rule.mean, rule.scale) == ("advprop", HALF, HALF)
        assert not any(ASSUMED in note for note in found.notes)
        [note] = [note for note in found.notes if "weights that the file names" in note]
        assert all(word in note for word in (name, "recipe advprop, (pixel - 127.5) / 127.5", "set it with --recipe"))
        assert any(note.startswith("timm itself prepares") and "mean=(0.5, 0.5, 0.5)" in note for note in found.notes)


def test_the_control_another_tag_is_another_recipe(tmp_path: Path) -> None:
    for name, recipe in (
        ("tf_efficientnet_b0.ns_jft_in1k", "noisy-student"),
        ("tf_efficientnet_b0_ns", "noisy-student"),
    ):
        for found in files(name, tmp_path):
            assert (found.spec.preprocessing.recipe, found.spec.preprocessing.mean) == (recipe, IMAGENET)
    for found in files("tf_efficientnet_b0", tmp_path):
        assert (found.spec.preprocessing.recipe, found.spec.preprocessing.mean) == ("autoaugment", IMAGENET)
        assert any(ASSUMED in note for note in found.notes)
        assert not any("timm itself" in note or "timm 1.0" in note for note in found.notes)


def test_who_says_the_recipe_is_not_told_of_the_name(tmp_path: Path) -> None:
    for found in files(TAGGED, tmp_path, SourceOptions(recipe="autoaugment")):
        assert (found.spec.preprocessing.recipe, found.spec.preprocessing.mean) == ("autoaugment", IMAGENET)
        assert not any("prepare" in note for note in found.notes)


def test_numbers_say_more_than_a_name(tmp_path: Path) -> None:
    mean, deviation = [0.2, 0.4, 0.6], [0.4, 0.6, 0.8]
    args = argparse.Namespace(model=TAGGED, mean=mean, std=deviation, img_size=96)
    config = {"architecture": TAGGED, "pretrained_cfg": {"mean": mean, "std": deviation}}
    for found in (beside(config), saved(tmp_path, {"args": args})):
        assert found.spec.preprocessing.mean == pytest.approx((51, 102, 153))
        assert any("as what stands beside the weights says" in note for note in found.notes)
        assert not any("weights that the file names" in note or "timm itself" in note for note in found.notes)
    args.mean = args.std = None
    sized = saved(tmp_path, {"args": args}).spec.preprocessing
    assert (sized.recipe, sized.resolution) == ("advprop", 96)


def test_two_names_of_weights(tmp_path: Path) -> None:
    both = {"arch": TAGGED, "hyper_parameters": {"model_name": "tf_efficientnet_b0.aa_in1k"}}
    found = saved(tmp_path, both)
    assert found.spec.preprocessing.recipe == "autoaugment"
    [note] = [note for note in found.notes if "prepared differently" in note]
    assert all(word in note for word in (TAGGED, "tf_efficientnet_b0.aa_in1k", "arch", "model_name"))
    assert any(ASSUMED in note for note in found.notes)
    alike = {"arch": "tf_efficientnet_b0.ns_jft_in1k", "hyper_parameters": {"model_name": "tf_efficientnet_b0.aa_in1k"}}
    assert saved(tmp_path, alike).spec.preprocessing.recipe == "noisy-student"
    larger = {"arch": TAGGED, "hyper_parameters": {"model_name": "tf_efficientnet_b4.aa_in1k"}}
    assert saved(tmp_path, larger).spec.preprocessing.recipe == "advprop"


# Models without tf_, and names without weights


@pytest.mark.parametrize("name", ["efficientnet_b0.ra4_e3600_r224_in1k", "timm/efficientnet_b0.ra4_e3600_r240_in1k"])
def test_the_longer_training_of_models_without_tf(name: str, tmp_path: Path) -> None:
    for found in files(name, tmp_path)[:2]:
        rule = found.spec.preprocessing
        assert (found.dialect.name, rule.mean, rule.scale) == ("timm-symmetric", HALF, HALF)
        [note] = [note for note in found.notes if "weights that the file names" in note]
        assert f"{name!r} as the " in note
    for found in files("efficientnet_b0.ra_in1k", tmp_path)[:2]:
        assert found.spec.preprocessing.mean == IMAGENET
        assert any(ASSUMED in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tf_efficientnet_b7", ""),
        ("tf_efficientnet_b8", "672 pixels, crop_pct=0.954, crop_mode='center', interpolation='bicubic', mean=(0.5, "),
        ("tf_efficientnet_l2", "475 pixels"),
        ("tf_efficientnet_lite4", "380 pixels, crop_pct=0.92, crop_mode='center', interpolation='bilinear', mean=(0.5"),
        (
            "tf_efficientnet_cc_b1_8e",
            "240 pixels, crop_pct=0.882, crop_mode='center', interpolation='bicubic', mean=(0.5",
        ),
        ("tf_efficientnetv2_b2", ""),
        ("tf_efficientnetv2_b3", "300 pixels, crop_pct=0.9, crop_mode='squash', interpolation='bicubic', mean=(0.5"),
        ("tf_efficientnetv2_s", "mean=(0.5, 0.5, 0.5)"),
        ("efficientnet_b0", ""),
        ("efficientnet_b1", "by mean and std 0.5"),
    ],
)
def test_what_timm_takes_for_a_model_s_name_alone(name: str, told: str) -> None:
    spec = resolve(VARIANT_OF[name], num_classes=5)
    said = configured(spec, {"config.json": json.dumps({"architecture": name})})
    assert said.spec == spec
    assert said.weights == ""
    assert told in said.remark
    assert bool(said.remark) is bool(told)
    assert is_halved(name, "") is ("0.5" in told)


def test_the_size_of_other_weights_of_the_largest_model() -> None:
    spec = resolve("l2", num_classes=5)
    rule = configured(spec, {"arch": "tf_efficientnet_l2_ns_475"}).spec.preprocessing
    assert (rule.recipe, rule.resolution, rule.resampling) == ("noisy-student", 475, Resampling.LEGACY_BICUBIC)
    assert configured(spec, {"arch": "tf_efficientnet_l2_ns"}).spec.preprocessing.resolution == 800
