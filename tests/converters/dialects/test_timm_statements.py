"""What files say of a network in timm's words: its name, and what it was made with."""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import SourceOptions, UnknownArchitecture, open_checkpoint
from converters.checkpoint import Checkpoint
from converters.dialects._timm_names import VARIANT_OF, bare
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import VARIANTS, NetworkSpec, Padding, Pooling, Resampling, ShorterSide, resolve
from tests.converters.memory import in_dialect
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, depth=0.5, num_classes=10)
STATE = in_dialect("timm", SPEC, lively_state(SPEC))
TELLING = "took tf_"
"""In the note of a file that tells nothing."""


def beside(config: object, options: SourceOptions | None = None) -> Checkpoint:
    """The tensors beside a config.json."""
    reader = MemoryReader(STATE, path=Path("memory"), format="memory")
    reader.metadata = {"config.json": json.dumps(config)}
    return understand(reader, options or SourceOptions())


def saved(folder: Path, values: Mapping[str, Any], options: SourceOptions | None = None) -> Checkpoint:
    """A checkpoint of PyTorch with the tensors and those values."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    state = {name: torch.from_numpy(array.copy()) for name, array in STATE.items()}
    torch.save({"state_dict": state, **values}, folder / "x.pth.tar")
    with open_checkpoint(folder / "x.pth.tar", options) as checkpoint:
        return checkpoint


def is_told(checkpoint: Checkpoint) -> bool:
    return not any(TELLING in note for note in checkpoint.notes)


# Names


def test_every_variant_has_a_name() -> None:
    assert set(VARIANT_OF.values()) == set(VARIANTS)
    assert VARIANT_OF["tf_efficientnet_cc_b1_8e"] == "efficientnet-condconv-b0-8e-depth"
    assert VARIANT_OF["efficientnet_es"] == "efficientnet-edgetpu-S"
    assert "efficientnetv2_b0" not in VARIANT_OF  # timm has it with official weights alone


@pytest.mark.parametrize(
    ("said", "model"),
    [
        ("tf_efficientnet_b0", "tf_efficientnet_b0"),
        ("tf_efficientnet_b0.ns_jft_in1k", "tf_efficientnet_b0"),
        ("hf-hub:timm/efficientnet_b0.ra_in1k", "efficientnet_b0"),
        ("tf_efficientnet_l2_ns_475", "tf_efficientnet_l2"),
        ("tf_efficientnetv2_s_in21ft1k", "tf_efficientnetv2_s"),
        ("efficientnet_blur_b0", "efficientnet_blur_b0"),
        ("efficientnet_b0_ns", "efficientnet_b0_ns"),  # such tags are those of tf_ models
    ],
)
def test_names_without_their_tags(said: str, model: str) -> None:
    assert bare(said) == model


@pytest.mark.parametrize("tag", ["", ".in1k"])
@pytest.mark.parametrize(("name", "dialect"), [("efficientnet_b0", "timm-symmetric"), ("tf_efficientnet_b0", "timm")])
def test_a_name_tells_the_kind(name: str, dialect: str, tag: str, tmp_path: Path) -> None:
    said = name + tag
    found = [
        beside({"architecture": said}),
        *(
            saved(tmp_path, values)
            for values in (
                {"arch": said},
                {"arch": "efficientnet", "args": argparse.Namespace(model=said)},
                {"args": argparse.Namespace(model=said, root=pathlib.PurePosixPath("/x"), score=np.float64(0.5))},
                {"hyper_parameters": {"model_name": said, "lr": 0.1}},
                {"hyper_parameters": {"backbone": said, "model": "classifier"}},
                {"hyper_parameters": argparse.Namespace(encoder_name=said)},
            )
        ),
    ]
    assert [one.dialect.name for one in found] == [dialect] * len(found)
    assert all(is_told(one) for one in found)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"arch": "efficientnet"},  # the name of timm's class, which its program writes where it has no args
        {"arch": "resnet50"},
        {"arch": "b0"},
        {"args": argparse.Namespace(model="efficientnet")},
        {"hyper_parameters": {"model_name": "resnet50", "lr": 0.1}},
        {"hyper_parameters": {"lr": 0.1, "model_name": ["efficientnet_b0"]}},
    ],
)
def test_where_nothing_tells_the_kind_the_first_note_says_so(values: dict[str, Any], tmp_path: Path) -> None:
    found = saved(tmp_path, values)
    assert found.dialect.name == "timm"
    first = found.notes[0]
    assert all(word in first for word in (TELLING, "tf_efficientnet", "without tf_", "--from timm-symmetric", "wrong"))
    assert is_told(saved(tmp_path, values, SourceOptions(dialect="timm")))


@pytest.mark.parametrize(
    "name", ["efficientnet_blur_b0", "efficientnetv2_rw_t.ra2_in1k", "efficientnet_b1_pruned", "efficientnet_b0_gn"]
)
def test_networks_of_timm_s_own_are_refused(name: str, tmp_path: Path) -> None:
    message = f"says '{name}', which is a network of timm's own and none of the official ones.*--from timm"
    with pytest.raises(UnknownArchitecture, match=message):
        beside({"architecture": name})
    for values in (
        {"arch": name},
        {"args": argparse.Namespace(model=name)},
        {"hyper_parameters": {"backbone": name}},
    ):
        with pytest.raises(UnknownArchitecture, match=message):
            saved(tmp_path, values)
    said = beside({"architecture": name}, SourceOptions(dialect="timm-symmetric"))
    assert (said.dialect.name, said.spec.padding) == ("timm-symmetric", Padding.SYMMETRIC)
    assert any(name in note for note in said.notes)


NAMED = SourceOptions(arch="b0", width=0.13, depth=0.5)
"""The network, and nothing of whose it is."""


@pytest.mark.parametrize("name", ["efficientnet_blur_b0", "efficientnet_b0_gn"])
def test_who_names_the_network_has_not_said_that_it_is_none_of_timm_s_own(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownArchitecture, match=f"says '{name}', which is a network of timm's own"):
        beside({"architecture": name}, NAMED)
    with pytest.raises(UnknownArchitecture, match=f"says '{name}', which is a network of timm's own"):
        saved(tmp_path, {"args": argparse.Namespace(model=name)}, NAMED)


@pytest.mark.parametrize(
    ("said", "other"), [("timm", "efficientnet_b0"), ("timm-symmetric", "tf_efficientnet_b0.in1k")]
)
def test_who_says_one_kind_beside_a_file_that_says_the_other_is_told(said: str, other: str, tmp_path: Path) -> None:
    options = SourceOptions(dialect=said)
    right = {"timm": "tf_efficientnet_b0", "timm-symmetric": "efficientnet_b0"}[said]
    for found, agreeing in (
        (beside({"architecture": other}, options), beside({"architecture": right}, options)),
        (
            saved(tmp_path, {"hyper_parameters": {"model_name": other}}, options),
            saved(tmp_path, {"hyper_parameters": {"model_name": right}}, options),
        ),
    ):
        assert found.dialect.name == said
        assert any("all logits are wrong: say --from " in note for note in found.notes)
        assert not any("all logits are wrong" in note for note in agreeing.notes)


def test_a_configuration_of_another_architecture_is_refused() -> None:
    with pytest.raises(UnknownArchitecture, match=r"config\.json says 'resnet50', which is no EfficientNet"):
        beside({"architecture": "resnet50"})
    assert beside({"architecture": "resnet50"}, SourceOptions(arch="b0", width=0.13, depth=0.5)).spec.name == SPEC.name


def test_another_variant_than_that_of_the_tensors_is_said() -> None:
    found = beside({"architecture": "tf_efficientnet_b4"})
    assert any("says 'tf_efficientnet_b4'; the tensors say efficientnet-b0" in note for note in found.notes)
    assert not any("the tensors say" in note for note in beside({"architecture": "tf_efficientnet_b0"}).notes)


# Options

USUAL = beside({"architecture": "tf_efficientnet_b0"}).spec


def options_of(checkpoint: Checkpoint) -> tuple[object, ...]:
    spec = checkpoint.spec
    assert spec.classifier is not None
    return spec.classifier.pooling, spec.norm.epsilon, spec.norm.decay, spec.padding


READ = [
    ({}, (Pooling.AVERAGE, 1e-3, 0.9, Padding.SAME)),
    ({"global_pool": "avg", "act_layer": "silu", "num_classes": 10, "drop_rate": 0.3}, None),
    ({"global_pool": None, "bn_eps": None, "act_layer": None, "img_size": 64}, None),
    ({"global_pool": "max"}, (Pooling.MAX, 1e-3, 0.9, Padding.SAME)),
    ({"bn_eps": 1e-5}, (Pooling.AVERAGE, 1e-5, 0.9, Padding.SAME)),
    ({"bn_momentum": 0.01}, (Pooling.AVERAGE, 1e-3, 0.99, Padding.SAME)),
    ({"pad_type": ""}, (Pooling.AVERAGE, 1e-3, 0.9, Padding.SYMMETRIC)),
]


@pytest.mark.parametrize(("given", "expected"), READ)
def test_options_that_change_logits_are_read(
    given: dict[str, Any], expected: tuple[object, ...] | None, tmp_path: Path
) -> None:
    name = "tf_efficientnet_b0"
    renamed = {"gp" if word == "global_pool" else word: value for word, value in given.items()}
    of_timm = {word: renamed.pop(word) for word in ("gp", "bn_eps", "bn_momentum") if word in renamed}
    found = [
        beside({"architecture": name, "model_args": given}),
        beside({"architecture": name, "global_pool": "avg", "model_args": given}),
        saved(tmp_path, {"arch": name, "args": argparse.Namespace(model=name, model_kwargs=renamed, **of_timm)}),
    ]
    for one in found:
        assert options_of(one) == pytest.approx(expected or READ[0][1])
        assert any("so the network is taken" in note for note in one.notes) is (one.spec != USUAL)
    at_top = beside({"architecture": name, "global_pool": given.get("global_pool")})
    assert options_of(at_top)[0] is (expected or READ[0][1])[0]


@pytest.mark.parametrize(
    "given",
    [
        {"global_pool": "catavgmax"},
        {"global_pool": ["max"]},
        {"bn_eps": -1},
        {"bn_eps": "1e-5"},
        {"bn_momentum": 1},
        {"pad_type": "valid"},
        {"act_layer": "gelu"},
        {"act_layer": "relu"},
        {"norm_layer": "groupnorm"},
        {"aa_layer": "blurpc"},
        {"se_layer": {"rd_ratio": 0.5}},
    ],
)
def test_options_without_a_definition_are_refused(given: dict[str, Any], tmp_path: Path) -> None:
    name = "tf_efficientnet_b0"
    message = f"'{name}' was made with {next(iter(given))}=.*--from timm"
    with pytest.raises(UnknownArchitecture, match=message):
        beside({"architecture": name, "model_args": given})
    with pytest.raises(UnknownArchitecture, match=message):
        saved(tmp_path, {"arch": name, "args": argparse.Namespace(model=name, model_kwargs=given)})
    said = beside({"architecture": name, "model_args": given}, SourceOptions(dialect="timm"))
    assert options_of(said) == options_of(beside({"architecture": name}))
    [note] = [note for note in said.notes if "Passed over" in note]
    assert f"was made with {next(iter(given))}=" in note
    assert "--from timm" not in note


@pytest.mark.parametrize(("given", "expected"), READ)
def test_who_names_the_network_has_said_nothing_of_its_options(
    given: dict[str, Any], expected: tuple[object, ...] | None, tmp_path: Path
) -> None:
    name = "tf_efficientnet_b0"
    found = beside({"architecture": name, "model_args": given}, NAMED)
    assert options_of(found) == pytest.approx(expected or READ[0][1])
    args = argparse.Namespace(model=name, model_kwargs=given)
    assert options_of(saved(tmp_path, {"args": args}, NAMED)) == pytest.approx(expected or READ[0][1])
    without = {"architecture": name, "model_args": given | {"act_layer": "relu"}}
    with pytest.raises(UnknownArchitecture, match=r"act_layer='relu'.*--from timm"):
        beside(without, NAMED)
    without_symmetric = {"architecture": "efficientnet_b0", "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    kind = beside(without_symmetric, NAMED)
    assert (kind.spec.padding, kind.spec.preprocessing.mean) == (Padding.SYMMETRIC, (127.5, 127.5, 127.5))


BESIDE = [
    ({"global_pool": "max"}, (Pooling.MAX, 1e-3, 0.9, Padding.SAME)),
    ({"global_pool": "fastmax", "gp": "max"}, None),
    ({"gp": "max"}, (Pooling.MAX, 1e-3, 0.9, Padding.SAME)),
    ({"bn_eps": 1e-5, "bn_momentum": 0.01}, (Pooling.AVERAGE, 1e-5, 0.99, Padding.SAME)),
    ({"bn_tf": True}, (Pooling.AVERAGE, 1e-3, 0.99, Padding.SAME)),
    ({"bn_eps": 1e-5, "bn_tf": True}, (Pooling.AVERAGE, 1e-5, 0.99, Padding.SAME)),
    ({"pad_type": ""}, (Pooling.AVERAGE, 1e-3, 0.9, Padding.SYMMETRIC)),
    ({"output_stride": 32, "act_layer": "SiLU", "norm_layer": "BatchNorm2d"}, READ[0][1]),
    ({"output_stride": 16}, None),
    ({"act_layer": "relu"}, None),
    ({"norm_layer": "groupnorm"}, None),
    ({"aa_layer": "blurpc"}, None),
    ({"se_layer": "eca"}, None),
]
"""Options of a program that are timm's words, and what follows: None where there is no definition."""


@pytest.mark.parametrize("word", ["model_name", "model", "arch"])
@pytest.mark.parametrize(("given", "expected"), BESIDE)
def test_options_beside_the_name_are_read(
    given: dict[str, Any], expected: tuple[object, ...] | None, word: str, tmp_path: Path
) -> None:
    options = {word: "tf_efficientnet_b0", "lr": 0.1, **given}
    for values in ({"hyper_parameters": options}, {"args": argparse.Namespace(**options)}):
        if expected is None:
            with pytest.raises(UnknownArchitecture, match=f"was made with {next(iter(given))}="):
                saved(tmp_path, values)
        else:
            assert options_of(saved(tmp_path, values)) == pytest.approx(expected)


def test_tensorflow_s_norm_of_a_network_without_tf(tmp_path: Path) -> None:
    args = argparse.Namespace(model="efficientnet_b0", bn_tf=True, bn_eps=None, bn_momentum=None, gp=None)
    found = saved(tmp_path, {"arch": "efficientnet", "args": args})
    assert options_of(found) == (Pooling.AVERAGE, 1e-3, 0.99, Padding.SYMMETRIC)
    assert any("says bn_tf=True, and so the network is taken" in note for note in found.notes)
    args.bn_tf = False
    assert options_of(saved(tmp_path, {"args": args})) == (Pooling.AVERAGE, 1e-5, 0.9, Padding.SYMMETRIC)


@pytest.mark.parametrize(
    "given",
    [
        {"global_pool": None, "output_stride": None, "act_layer": None, "norm_layer": None, "bn_eps": None},
        {"global_pool": "", "act_layer": "", "norm_layer": "", "aa_layer": "", "se_layer": "", "output_stride": 0},
        {"global_pool": False, "act_layer": False, "aa_layer": False, "bn_tf": False, "bn_eps": 0, "bn_momentum": 0},
        {"global_pool": True, "gp": 10.0, "output_stride": [4, 8], "norm_layer": {"type": "GN"}, "act_layer": 3},
        {"global_pool": "gem", "pad_type": None, "drop_rate": 0, "drop_path_rate": 0.0, "stem_size": 48},
        {"model_kwargs": {"fix_stem": False, "aa_layer": "", "act_layer": "", "norm_layer": "", "block_args": None}},
    ],
)
def test_what_is_switched_off_or_another_program_s_changes_nothing(given: dict[str, Any], tmp_path: Path) -> None:
    options = {"model_name": "tf_efficientnet_b0", **given}
    for values in ({"hyper_parameters": options}, {"args": argparse.Namespace(**options)}):
        assert saved(tmp_path, values).spec == USUAL


@pytest.mark.parametrize("word", ["backbone", "encoder_name"])
def test_what_may_be_said_of_a_larger_model_around_the_network(word: str, tmp_path: Path) -> None:
    options = {word: "tf_efficientnet_b0", "act_layer": "relu", "norm_layer": "layernorm"}
    assert saved(tmp_path, {"hyper_parameters": options}).spec == USUAL
    with pytest.raises(UnknownArchitecture, match="output_stride=16"):
        saved(tmp_path, {"hyper_parameters": {**options, "output_stride": 16}})


def test_what_stands_in_place_of_text_tells_nothing() -> None:
    for config in ([], "x", {"architecture": 7}, {"architecture": None, "model_args": {"bn_eps": 1e-5}}):
        assert not is_told(beside(config))
    for wrong in (7, [], "max"):
        assert options_of(beside({"architecture": "tf_efficientnet_b0", "model_args": wrong})) == READ[0][1]


# Images

GREY = replace(SPEC, stem=replace(SPEC.stem, in_channels=1))
FOUR = replace(SPEC, stem=replace(SPEC.stem, in_channels=4))
ASSUMED = "Weights do not tell how images were prepared"


def prepared(spec: NetworkSpec, said: Mapping[str, Any]) -> Checkpoint:
    """A network of those channels beside what config.json says of images."""
    reader = MemoryReader(in_dialect("timm", spec, lively_state(spec)), path=Path("memory"), format="memory")
    config = {"architecture": "tf_efficientnet_b0", "pretrained_cfg": said}
    reader.metadata = {"config.json": json.dumps(config)}
    return understand(reader, SourceOptions())


@pytest.mark.parametrize(
    ("spec", "mean", "deviation", "expected"),
    [
        (SPEC, [0.2, 0.4, 0.6], [0.4, 0.6, 0.8], ((51, 102, 153), (102, 153, 204))),
        (SPEC, [0.2], 0.4, ((51, 51, 51), (102, 102, 102))),
        (GREY, [0.2], [0.4], ((51,), (102,))),
        (GREY, [0.2, 0.4, 0.6], [0.4, 0.6, 0.8], ((51, 102, 153), (102, 153, 204))),
        (FOUR, [0.2, 0.4, 0.6, 0.8], [0.4], ((51, 102, 153, 204), (102, 102, 102, 102))),
    ],
)
def test_a_number_for_each_channel_or_for_all(spec: NetworkSpec, mean: Any, deviation: Any, expected: Any) -> None:
    found = prepared(spec, {"mean": mean, "std": deviation, "input_size": [spec.stem.in_channels, 64, 64]})
    rule = found.spec.preprocessing
    assert rule.resolution == 64
    assert (rule.mean, rule.scale) == (pytest.approx(expected[0]), pytest.approx(expected[1]))
    assert not any(ASSUMED in note for note in found.notes)


@pytest.mark.parametrize(
    ("mean", "deviation"),
    [([0.2, 0.4], [0.4]), ([0.2] * 4, [0.4] * 4), ([0.5], [0.0]), ([0.5, "a", 0.1], [0.5]), ([124, 116, 104], [58])],
)
def test_numbers_that_no_definition_takes_are_told(mean: Any, deviation: Any) -> None:
    found = prepared(SPEC, {"mean": mean, "std": deviation})
    assert found.spec.preprocessing == prepared(SPEC, {}).spec.preprocessing
    [note] = [note for note in found.notes if "The file config.json says that images were normalised" in note]
    assert f"mean={mean!r} and std={deviation!r}; expected a sensible number for each of 3 channels" in note
    assert not any("images were normalised" in note for note in prepared(SPEC, {"mean": None, "std": [0.5]}).notes)


def test_a_training_program_says_how_images_were_prepared(tmp_path: Path) -> None:
    said = {"mean": (0.2, 0.4, 0.6), "std": [0.4, 0.6, 0.8], "img_size": 96, "interpolation": "bilinear"}
    args = argparse.Namespace(model="tf_efficientnet_b0", crop_pct=0.75, input_size=None, **said)
    found = saved(tmp_path, {"arch": "efficientnet", "args": args})
    rule = found.spec.preprocessing
    assert (rule.mean, rule.scale) == (pytest.approx((51, 102, 153)), pytest.approx((102, 153, 204)))
    assert (rule.resolution, rule.crop) == (96, ShorterSide(side=128))
    assert rule.resampling is Resampling.PILLOW_BILINEAR
    assert not any(ASSUMED in note for note in found.notes)
    args.input_size = [3, 80, 80]
    assert saved(tmp_path, {"args": args}).spec.preprocessing.resolution == 80


@pytest.mark.parametrize(
    "said", [{"mean": None, "std": None, "img_size": None, "crop_pct": None, "interpolation": ""}, {"mean": [0.5]}, {}]
)
def test_a_training_program_that_says_nothing_of_images(said: dict[str, Any], tmp_path: Path) -> None:
    found = saved(tmp_path, {"args": argparse.Namespace(model="tf_efficientnet_b0", **said)})
    assert found.spec == USUAL
    assert any(ASSUMED in note for note in found.notes)


def test_options_of_another_program_say_nothing_of_images(tmp_path: Path) -> None:
    found = saved(tmp_path, {"args": argparse.Namespace(model="mine", mean=[0.5] * 3, std=[0.5] * 3, img_size=96)})
    assert found.spec.preprocessing == saved(tmp_path, {}).spec.preprocessing
