"""The logits of EfficientNetForImageClassification (transformers 5.23), both ways, as folders that it saves and loads.

It pads as TensorFlow does at the size in its configuration and at those whose grids inside the network are even and odd
at the same places; at all others its logits are its own.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import effnet
from converters import SourceOptions, UnknownArchitecture
from effnet.choices import Backend
from effnet_core import Pooling
from tests import compared
from tests.foreign.comparison import (
    check_back,
    check_controls,
    check_every_variant,
    check_first_blocks,
    check_names,
    check_there,
    distance,
    our_logits,
    too_far,
)
from tests.foreign.judge import Judge, Network, judging, narrow

HUGGINGFACE = SourceOptions(dialect="huggingface")
RIGHT_SIZES = {"b0": [(64, 96), (96, 32)], "b1": [(48, 80), (80, 144)]}
"""B0, for 224, wants multiples of 32; B1, for 240, odd multiples of 16."""
WRONG_SIZES = [(65, 49), (67, 67), (48, 80)]
"""For B0."""


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with judging("transformers", tmp_path_factory.mktemp("transformers")) as judge:
        yield judge


@pytest.mark.parametrize("name", compared.HUGGINGFACE)
def test_names_and_shapes(name: str, judge: Judge) -> None:
    check_names(judge.shapes(Network(name=name, classes=1000)), name, dialect="huggingface")


def test_every_variant_is_compared() -> None:
    check_every_variant(compared.HUGGINGFACE, dialect="huggingface")


@pytest.mark.parametrize("name", RIGHT_SIZES)
def test_narrow(name: str, judge: Judge, tmp_path: Path) -> None:
    made = judge.make(narrow(name), sizes=RIGHT_SIZES[name])
    ours = check_there(made, "safetensors", HUGGINGFACE)
    check_controls(ours, made)
    assert effnet.load_network(made.files["safetensors"].parent).spec == ours.spec
    check_back(judge, made, ours, tmp_path / "ours", to="huggingface")


def test_the_first_block_of_a_stage_adds_no_residual(judge: Judge, tmp_path: Path) -> None:
    made = judge.make(narrow("b0", width=0.13), sizes=RIGHT_SIZES["b0"][:1], dtypes=["float64"])
    check_first_blocks(judge, made, "safetensors", tmp_path / "ours", to="huggingface")


def test_native_size(judge: Judge, tmp_path: Path) -> None:
    made = judge.make(Network(name="b0", classes=1000), sizes=[(224, 224)], dtypes=["float32"])
    ours = check_there(made, "safetensors", HUGGINGFACE)
    check_controls(ours, made)
    check_back(judge, made, ours, tmp_path / "ours", to="huggingface")


def test_a_model_without_classifier(judge: Judge, tmp_path: Path) -> None:
    made = judge.make(narrow("b0", classes=0), sizes=RIGHT_SIZES["b0"])
    ours = check_there(made, "safetensors", SourceOptions())
    assert ours.spec.classifier is None
    check_controls(ours, made)
    check_back(judge, made, ours, tmp_path / "ours", to="huggingface")


def test_maximum_pooling(judge: Judge, tmp_path: Path) -> None:
    made = judge.make(narrow("b0", pooling_type="max"), sizes=RIGHT_SIZES["b0"])
    ours = check_there(made, "safetensors", HUGGINGFACE)
    check_controls(ours, made)
    assert ours.spec.classifier is not None
    averaged = replace(ours.spec, classifier=replace(ours.spec.classifier, pooling=Pooling.AVERAGE))
    control = our_logits(replace(ours, spec=averaged), made, made.logits, backend=Backend.TORCH)
    assert too_far(control, made.logits, factor=100).keys() == made.logits.keys()
    check_back(judge, made, ours, tmp_path / "ours", to="huggingface")


@pytest.mark.parametrize("settings", [{"batch_norm_eps": 0.05}, {"hidden_act": "silu", "batch_norm_momentum": 0.5}])
def test_other_settings_that_have_a_definition(settings: dict[str, Any], judge: Judge) -> None:
    made = judge.make(narrow("b0", **settings), sizes=[(64, 96)], dtypes=["float64"])
    check_there(made, "safetensors", SourceOptions())


@pytest.mark.parametrize(
    "settings", [{"hidden_act": "relu"}, {"hidden_act": "gelu"}, {"strides": [1, 2, 2, 1, 1, 2, 1]}]
)
def test_settings_without_a_definition_are_refused(settings: dict[str, Any], judge: Judge) -> None:
    """Their tensors are those of the usual network, whose logits are far away."""
    made = judge.make(narrow("b0", **settings), sizes=[(64, 96)], dtypes=["float64"])
    with pytest.raises(UnknownArchitecture, match=f"made with {next(iter(settings))}=.*--from huggingface"):
        effnet.load_network(made.files["safetensors"])
    usual = effnet.load_network(made.files["safetensors"], options=HUGGINGFACE)
    found = our_logits(usual, made, made.logits, backend=Backend.TORCH)
    assert all(distance(found[key], made.logits[key]) > 0.1 for key in found)


def test_what_is_missing_in_a_configuration_is_the_usual(judge: Judge) -> None:
    made = judge.make(narrow("b0"), sizes=[(64, 96)], dtypes=["float64"])
    usual = effnet.load_network(made.files["safetensors"])
    config = json.loads(made.files["config"].read_text())
    for name in ("pooling_type", "hidden_act", "strides", "batch_norm_eps", "batch_norm_momentum", "depthwise_padding"):
        del config[name]
    made.files["config"].write_text(json.dumps(config))
    assert too_far(judge.logits(made.files["safetensors"], like=made), made.logits) == {}
    assert effnet.load_network(made.files["safetensors"]).spec == usual.spec
    # The control: its model is made from what is left in the file.
    made.files["config"].write_text(json.dumps(config | {"pooling_type": "max"}))
    assert too_far(judge.logits(made.files["safetensors"], like=made), made.logits, factor=100)


def test_its_logits_are_its_own_where_grids_differ(judge: Judge) -> None:
    """A difference of transformers': SAME padding in float64, which both of our backends compute, is another result."""
    made = judge.make(narrow("b0"), sizes=WRONG_SIZES, dtypes=["float64"])
    ours = effnet.load_network(made.files["safetensors"], options=HUGGINGFACE)
    found = {backend: our_logits(ours, made, made.logits, backend=backend) for backend in Backend}
    assert too_far(found[Backend.TF], found[Backend.TORCH]) == {}
    for key, logits in made.logits.items():
        assert distance(logits, found[Backend.TORCH][key]) > 0.1
