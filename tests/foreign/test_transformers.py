"""The logits of EfficientNetForImageClassification (transformers 5.23), both ways, as folders that it saves and loads.

It pads as TensorFlow does at the size in its configuration and at those whose grids inside the network are even and odd
at the same places; at all others its logits are its own.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

import effnet
from converters import SourceOptions
from effnet.choices import Backend
from tests.foreign.comparison import (
    check_back,
    check_controls,
    check_every_variant,
    check_names,
    check_there,
    distance,
    our_logits,
    too_far,
)
from tests.foreign.judge import Judge, Network, judging, narrow

NAMES = [*(f"b{number}" for number in range(9)), "l2"]
HUGGINGFACE = SourceOptions(dialect="huggingface")
RIGHT_SIZES = {"b0": [(64, 96), (96, 32)], "b1": [(48, 80), (80, 144)]}
"""B0, for 224, wants multiples of 32; B1, for 240, odd multiples of 16."""
WRONG_SIZES = [(65, 49), (67, 67), (48, 80)]
"""For B0."""


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with judging("transformers", tmp_path_factory.mktemp("transformers")) as judge:
        yield judge


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes(name: str, judge: Judge) -> None:
    check_names(judge.shapes(Network(name=name, classes=1000)), name, dialect="huggingface")


def test_every_variant_is_compared() -> None:
    check_every_variant(NAMES, dialect="huggingface")


@pytest.mark.parametrize("name", RIGHT_SIZES)
def test_narrow(name: str, judge: Judge, tmp_path: Path) -> None:
    made = judge.make(narrow(name), sizes=RIGHT_SIZES[name])
    ours = check_there(made, "safetensors", HUGGINGFACE)
    check_controls(ours, made)
    assert effnet.load_network(made.files["safetensors"].parent).spec == ours.spec
    check_back(judge, made, ours, tmp_path / "ours", to="huggingface")


def test_native_size(judge: Judge, tmp_path: Path) -> None:
    made = judge.make(Network(name="b0", classes=1000), sizes=[(224, 224)], dtypes=["float32"])
    ours = check_there(made, "safetensors", HUGGINGFACE)
    check_controls(ours, made)
    check_back(judge, made, ours, tmp_path / "ours", to="huggingface")


def test_its_logits_are_its_own_where_grids_differ(judge: Judge) -> None:
    """A difference of transformers': SAME padding in float64, which both of our backends compute, is another result."""
    made = judge.make(narrow("b0"), sizes=WRONG_SIZES, dtypes=["float64"])
    ours = effnet.load_network(made.files["safetensors"], options=HUGGINGFACE)
    found = {backend: our_logits(ours, made, made.logits, backend=backend) for backend in Backend}
    assert too_far(found[Backend.TF], found[Backend.TORCH]) == {}
    for key, logits in made.logits.items():
        assert distance(logits, found[Backend.TORCH][key]) > 0.1
