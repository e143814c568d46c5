"""The features of KerasHub 0.32, where its networks are those of timm: B0 to B5 and Lite0, both ways.

Its EdgeTPU networks mix paddings: the fused blocks pad symmetrically, the depthwise convolutions as TensorFlow does. No
definition says that, and their files are refused.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

import effnet
from converters import SourceOptions, UnknownDialect
from tests.foreign.comparison import check_back, check_controls, check_there
from tests.foreign.judge import SIZES, Judge, Network, judging, narrow

KERAS_HUB = SourceOptions(dialect="keras-hub")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with judging("keras_hub", tmp_path_factory.mktemp("keras_hub")) as judge:
        yield judge


def test_narrow(judge: Judge, tmp_path: Path) -> None:
    made = judge.make(narrow("efficientnet_b0 backbone"), sizes=SIZES[:2], dtypes=["float32"])
    for kind in (".keras", ".h5", "legacy weights"):
        check_there(made, kind, KERAS_HUB)
    ours = check_there(made, ".weights.h5", KERAS_HUB)
    check_controls(ours, made)
    check_back(judge, made, ours, tmp_path / "ours.weights.h5", to="keras-hub")


def test_native_size(judge: Judge, tmp_path: Path) -> None:
    network = Network(name="efficientnet_lite0 backbone")
    made = judge.make(network, sizes=[(224, 224)], dtypes=["float32"])
    ours = check_there(made, ".weights.h5", KERAS_HUB)
    check_controls(ours, made)
    check_back(judge, made, ours, tmp_path / "ours.weights.h5", to="keras-hub")


def test_mixed_paddings_are_refused(judge: Judge) -> None:
    made = judge.make(narrow("efficientnet_es"), sizes=())
    with pytest.raises(UnknownDialect):
        effnet.load_network(made.files[".h5"], options=KERAS_HUB)
