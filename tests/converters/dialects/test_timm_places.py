"""Where else files name a network of timm: transformers' backbones, nested options, what stands beside the weights."""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from converters import SourceOptions, UnknownArchitecture, open_checkpoint
from converters.dialects._timm_config import configured
from converters.dialects._timm_statements import told
from converters.dialects.json_fields import other_architecture
from effnet_core import Padding, resolve
from tests.converters.dialects.test_timm_statements import STATE, USUAL, beside, is_told, saved
from tests.converters.hostile_texts import cases

OTHER = "which is no EfficientNet"

# Backbones of transformers

BACKBONE = {
    "architectures": ["TimmBackbone"],
    "backbone": "efficientnet_b0",
    "features_only": True,
    "model_type": "timm_backbone",
    "out_indices": [-1],
    "output_stride": None,
    "use_pretrained_backbone": False,
}


@pytest.mark.parametrize(("name", "dialect"), [("efficientnet_b0", "timm-symmetric"), ("tf_efficientnet_b0", "timm")])
def test_a_backbone_of_transformers_names_its_network(name: str, dialect: str) -> None:
    inside = {"model_type": "detr", "architectures": ["DetrModel"], "use_timm_backbone": True, "backbone": name}
    around = {"model_type": "detr", "architectures": ["DetrModel"], "backbone_config": BACKBONE | {"backbone": name}}
    for config in (BACKBONE | {"backbone": name}, inside, around):
        found = beside(config)
        assert found.dialect.name == dialect
        assert is_told(found)
        assert not any(OTHER in note for note in found.notes)
    # the control: the same word of another model
    without = beside({"model_type": "upernet", "architectures": ["UperNet"], "backbone": name})
    assert not is_told(without)
    assert any(f"says 'UperNet', {OTHER}" in note for note in without.notes)


def test_a_backbone_names_its_weights_and_what_it_was_made_with() -> None:
    found = beside(BACKBONE | {"backbone": "tf_efficientnet_b0.ap_in1k", "output_stride": 32})
    assert found.spec.preprocessing.recipe == "advprop"
    assert found.spec.padding is Padding.SAME
    with pytest.raises(UnknownArchitecture, match="output_stride=16"):
        beside(BACKBONE | {"output_stride": 16})
    with pytest.raises(UnknownArchitecture, match="says 'efficientnet_blur_b0', which is a network of timm's own"):
        beside(BACKBONE | {"backbone": "efficientnet_blur_b0"})


def test_a_backbone_of_another_architecture_is_refused() -> None:
    with pytest.raises(UnknownArchitecture, match=f"says 'resnet50', {OTHER}"):
        beside(BACKBONE | {"backbone": "resnet50"})
    assert other_architecture({"config.json": '{"model_type": "timm_backbone", "backbone": "resnet50"}'}) == "resnet50"
    assert not is_told(beside(BACKBONE | {"backbone": ["efficientnet_b0"]}))


# Beside the weights

NAME = "efficientnet_b0"
PLACES: dict[str, dict[str, Any]] = {
    "model_name": {"model_name": NAME},
    "cfg.MODEL.NAME": {"cfg": {"MODEL": {"NAME": NAME}}, "epoch": 3},
    "config.model_name": {"config": argparse.Namespace(model_name=NAME)},
    "meta.config.model.args.name": {"meta": {"config": {"model": {"args": {"name": NAME}}}}},
    "hyper_parameters.cfg.model.backbone": {"hyper_parameters": {"cfg": {"model": {"backbone": NAME}}}},
    "hyper_parameters.net": {"hyper_parameters": {"net": NAME}},
    "hyper_parameters.model_arch": {"hyper_parameters": {"model_arch": f"{NAME}.ra_in1k"}},
    "hyper_parameters.base_model": {"hyper_parameters": {"base_model": f"timm/{NAME}.ra_in1k", "lr": 0.1}},
    "hyper_parameters.encoder_name": {"hyper_parameters": {"arch": "Unet", "encoder_name": f"tu-{NAME}"}},
    "hyper_parameters.timm_model": {"hyper_parameters": {"timm_model": NAME, "model_name": "mine"}, "arch": "Unet"},
    "args.net.type": {"args": argparse.Namespace(net=argparse.Namespace(type=NAME))},
}


@pytest.mark.parametrize("place", PLACES)
def test_a_name_anywhere_beside_the_weights_is_found(place: str, tmp_path: Path) -> None:
    found = saved(tmp_path, PLACES[place])
    assert (found.dialect.name, found.spec.padding) == ("timm-symmetric", Padding.SYMMETRIC)
    assert is_told(found)
    [one] = told(found.reader.metadata)
    assert one.where == f"the checkpoint's {place}"


@pytest.mark.parametrize(
    "values",
    [
        {"output": "/runs/efficientnet_b0"},
        {"output": "runs/efficientnet_b0"},
        {"weights": "efficientnet_b0.pth", "config": {"file": "efficientnet_b0.yaml"}},
        {"comment": "an efficientnet_b0 with a larger head"},
        {"hyper_parameters": {"net": ["efficientnet_b0"]}},
        {"hyper_parameters": {"net": "efficientnet-b0"}},
        {"hyper_parameters": {"net": "efficientnet_v2_s"}},
        {"a": {"b": {"c": {"d": {"e": {"f": "efficientnet_b0"}}}}}},
    ],
)
def test_what_is_not_a_name_and_nothing_else_is_none(values: dict[str, Any], tmp_path: Path) -> None:
    assert not is_told(saved(tmp_path, values))


def test_options_beside_a_nested_name_are_read(tmp_path: Path) -> None:
    nested = {"net": "tf_efficientnet_b0", "bn_eps": 1e-5}
    found = saved(tmp_path, {"config": {"model": nested}, "bn_eps": 0.1})
    assert found.spec.norm is not None
    assert found.spec.norm.epsilon == 1e-5
    assert any("config.model.net says bn_eps=1e-05, and so the network is taken" in note for note in found.notes)
    with pytest.raises(UnknownArchitecture, match="act_layer='relu'"):
        saved(tmp_path, {"config": {"model": nested | {"act_layer": "relu"}}})
    assert saved(tmp_path, {"config": {"model": {"net": "tf_efficientnet_b0"}, "act_layer": "relu"}}).spec == USUAL


TWO = "The file names networks of both of timm's kinds"


def test_two_names_of_different_kinds_tell_nothing(tmp_path: Path) -> None:
    for values in (
        {"teacher": "tf_efficientnet_b7", "student": "efficientnet_b0"},
        {"hyper_parameters": {"model": "efficientnet_b0", "backbone": "tf_efficientnet_b0"}},
        {"hyper_parameters": {"net": "efficientnet_b0"}, "config": {"net": "tf_efficientnet_b0.ap_in1k"}},
    ):
        found = saved(tmp_path, values)
        assert not is_told(found)
        assert (found.dialect.name, found.spec) == ("timm", USUAL)
        [note] = [note for note in found.notes if TWO in note]
        assert "'efficientnet_b0'" in note
        assert "'tf_efficientnet_b" in note
        assert "--from timm-symmetric" in note
        assert is_told(saved(tmp_path, values, SourceOptions(dialect="timm-symmetric")))


def test_two_names_of_one_kind_tell_it(tmp_path: Path) -> None:
    found = saved(tmp_path, {"teacher": "efficientnet_b7", "student": "efficientnet_b0"})
    assert (found.dialect.name, is_told(found)) == ("timm-symmetric", True)
    assert not any(TWO in note or "the tensors say" in note for note in found.notes)
    larger = saved(tmp_path, {"teacher": "efficientnet_b7"})
    assert any("teacher says 'efficientnet_b7'; the tensors say" in note for note in larger.notes)


def test_a_word_that_names_networks_says_more_than_others(tmp_path: Path) -> None:
    args = argparse.Namespace(model="efficientnet_b0", kd_model_name="tf_efficientnet_b7.ns_jft_in1k")
    found = saved(tmp_path, {"arch": "efficientnet_b0", "args": args, "teacher": "tf_efficientnet_b7"})
    assert (found.dialect.name, is_told(found)) == ("timm-symmetric", True)
    assert not any(TWO in note for note in found.notes)


def test_weights_that_are_named_in_nested_options(tmp_path: Path) -> None:
    found = saved(tmp_path, {"config": {"model": {"encoder_name": "tu-tf_efficientnet_b0.ap_in1k"}}})
    assert found.spec.preprocessing.recipe == "advprop"
    assert any("as the checkpoint's config.model.encoder_name says" in note for note in found.notes)


def test_older_files_of_pytorch_name_their_network_too(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    state = {name: torch.from_numpy(array.copy()) for name, array in STATE.items()}
    for values in ({"arch": NAME}, {"config": {"net": NAME}}, {}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about its own storages
            torch.save({"state_dict": state, **values}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
        with open_checkpoint(tmp_path / "x.pth") as found:
            assert is_told(found) is bool(values)


# Bounds


def test_what_is_read_is_bounded(tmp_path: Path) -> None:
    wide = {f"key {index}": {f"key {inner}": "x" * 1000 for inner in range(400)} for index in range(400)}
    circle: dict[str, Any] = {"text": "x"}
    circle |= {f"again {index}": circle for index in range(50)}
    for values in ({"config": wide}, {"config": circle}, {"hyper_parameters": circle}):
        found = saved(tmp_path, values)
        texts = found.reader.metadata
        assert sum(map(len, texts.values())) < 1_500_000
        assert not is_told(found)
    found = saved(tmp_path, {"net": NAME, "config": circle})
    assert is_told(found)


def test_damaged_texts_are_read_without_harm() -> None:
    spec = resolve("b0", num_classes=5)
    honest = {"model": {"net": "tf_efficientnet_b0.ap_in1k", "bn_eps": 1e-5, "inner": {"text": "x"}}, "mean": [0.5]}
    control = configured(spec, {"checkpoint": json.dumps(honest)})
    assert (control.spec.preprocessing.recipe, control.spec.norm and control.spec.norm.epsilon) == ("advprop", 1e-5)
    found = [
        configured(spec, {key: text.decode(errors="replace")})
        for key in ("checkpoint", "hyper_parameters")
        for _, text in cases(honest, values=25)
    ]
    assert len(found) >= 300
    assert all(len(note) < 1000 for said in found for note in (*said.notes, said.weights, said.remark))
    assert {said.spec.preprocessing.recipe for said in found} == {"advprop", "autoaugment"}
