"""The config.json that timm reads beside weights in its names; tests/foreign/test_timm.py asks timm itself."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters import DIALECTS, save_state
from converters.dialects._timm_config import configured
from converters.dialects._timm_folder import companions
from converters.meaning import normalised_by
from effnet_core import (
    VARIANTS,
    Activation,
    CentreCrop,
    Crop,
    HiddenDense,
    NetworkSpec,
    Pooling,
    ShorterSide,
    WholeImage,
    resolve,
    with_classes,
    without_classifier,
    without_head,
)
from tests.lively import lively_state


def _written(spec: NetworkSpec, *, is_tf: bool = True) -> Mapping[str, Any]:
    return json.loads(companions(spec, is_tf=is_tf)["config.json"])


@pytest.mark.parametrize("dialect", ["timm", "timm-symmetric"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_written_of_a_variant_is_read(variant: str, dialect: str) -> None:
    spec = resolve(variant)
    write = DIALECTS[dialect].companions
    assert write is not None
    files = write(spec)
    if not files:
        assert (variant[:-1], dialect) == ("efficientnetv2-b", "timm-symmetric")
        return
    found = configured(spec, files)
    assert (found.notes, found.refusal) == ((), None)
    assert found.pixels is not None
    read = normalised_by(found.spec.preprocessing, found.pixels)
    assert read.mean == pytest.approx(spec.preprocessing.mean)
    assert read.scale == pytest.approx(spec.preprocessing.scale)
    assert read.resolution == spec.preprocessing.resolution


@pytest.mark.parametrize(
    ("crop", "expected"),
    [(ShorterSide(side=side), ShorterSide(side=side)) for side in range(224, 300)] + [(WholeImage(), WholeImage())],
    ids=str,
)
def test_every_crop_of_timm_comes_back(crop: Crop, expected: Crop) -> None:
    spec = resolve("b0")
    spec = replace(spec, preprocessing=replace(spec.preprocessing, crop=crop))
    assert configured(spec, companions(spec, is_tf=True)).spec.preprocessing.crop == expected


def test_the_official_crop_is_the_one_that_timm_publishes() -> None:
    assert isinstance(resolve("b0").preprocessing.crop, CentreCrop)
    assert _written(resolve("b0"))["pretrained_cfg"]["crop_pct"] == 0.875


def test_what_timm_is_told_besides_the_name() -> None:
    spec = resolve("b0", num_classes=7, in_channels=4)
    assert spec.classifier is not None
    spec = replace(spec, classifier=replace(spec.classifier, pooling=Pooling.MAX))
    written = _written(spec)
    assert (written["architecture"], written["num_classes"]) == ("tf_efficientnet_b0", 7)
    assert written["model_args"] == {"in_chans": 4, "global_pool": "max"}
    assert "model_args" not in _written(with_classes(resolve("b0"), 7))
    assert _written(without_classifier(spec))["num_classes"] == 0
    assert _written(resolve("condconv-b0-8e-depth"), is_tf=False)["architecture"] == "efficientnet_cc_b1_8e"


@pytest.mark.parametrize(
    "spec",
    [
        resolve("b0", width=0.5),
        resolve("b0", depth=2.0),
        without_head(resolve("b0")),
        replace(resolve("b0"), name="my-own"),
    ],
    ids=["narrow", "deep", "without head", "unknown"],
)
def test_timm_has_no_name_for_other_networks(spec: NetworkSpec) -> None:
    assert companions(spec, is_tf=True) == {}


def test_the_report_says_that_there_is_no_file(tmp_path: Path) -> None:
    for name, width in (("usual", 1.0), ("narrow", 0.13)):
        spec = resolve("b0", width=width)
        found = save_state(tmp_path / name, spec, lively_state(spec, seed=0), to="timm", to_format="hf-folder")
        is_there = (tmp_path / name / "config.json").exists()
        assert is_there == (name == "usual")
        assert any("No config.json was written" in note for note in found.notes) != is_there


def test_nor_for_hidden_layers() -> None:
    spec = resolve("b0")
    assert spec.classifier is not None
    hidden = HiddenDense(in_channels=1280, out_channels=1280, has_bias=True, activation=Activation.RELU)
    assert companions(replace(spec, classifier=replace(spec.classifier, hidden=(hidden,))), is_tf=True) == {}
