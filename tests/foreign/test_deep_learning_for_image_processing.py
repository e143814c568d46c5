"""The logits of deep-learning-for-image-processing's network, both ways; our own model of it judges.

There is no package of it. The model is written from its description (`worker/tutorial_network.py`).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from converters import UnknownArchitecture, open_checkpoint
from converters.options import SourceOptions
from tests.foreign.comparison import check_back, check_controls, check_every_variant, check_names, check_there
from tests.foreign.judge import Judge, Network, judging, narrow

pytest.importorskip("torch", reason="PyTorch is not installed")
DIALECT = "deep-learning-for-image-processing"
NAMES = [*(f"b{number}" for number in range(9)), "l2"]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with judging("tutorial", tmp_path_factory.mktemp("tutorial")) as judge:
        yield judge


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes(name: str, judge: Judge) -> None:
    check_names(judge.shapes(Network(name=name, classes=1000)), name, dialect=DIALECT)


def test_every_variant_is_compared() -> None:
    check_every_variant(NAMES, dialect=DIALECT)


def test_narrow(judge: Judge, tmp_path: Path) -> None:
    made = judge.make(narrow("b0"))
    network = check_there(made, "pth", SourceOptions())
    check_controls(network, made)
    check_back(judge, made, network, tmp_path / "ours.pth", to=DIALECT)


def test_a_network_without_dropout(judge: Judge) -> None:
    """Its classifier has another name."""
    made = judge.make(narrow("b0 without dropout"), sizes=[(65, 49)])
    assert "classifier.0.weight" in judge.shapes(made.network)
    check_there(made, "pth", SourceOptions())


def test_native_size(judge: Judge, tmp_path: Path) -> None:
    made = judge.make(Network(name="b0", classes=1000), sizes=[(224, 224)], dtypes=["float32"])
    network = check_there(made, "pth", SourceOptions())
    check_controls(network, made)
    check_back(judge, made, network, tmp_path / "ours.pth", to=DIALECT)


@pytest.mark.parametrize("network", [Network(name="b0 twin"), narrow("b0 twin"), Network(name="b3 twin", classes=5)])
def test_the_twin_is_told_apart(network: Network, judge: Judge) -> None:
    made = judge.make(network, sizes=())
    with pytest.raises(UnknownArchitecture, match="squeezes each block to a quarter of its expanded channels"):
        open_checkpoint(made.files["pth"])
    arch = SourceOptions(arch=network.name.split()[0], width=network.width, depth=network.depth)
    with pytest.raises(UnknownArchitecture, match="squeezes each block to a quarter of its expanded channels"):
        open_checkpoint(made.files["pth"], arch)
