"""KerasHub 0.32, where its networks are those of timm: the features of B0 to B5 and Lite0 both ways, classifiers read.

Its EdgeTPU networks mix paddings: the fused blocks pad symmetrically, the depthwise convolutions as TensorFlow does. No
definition says that, and their files are refused.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

import effnet
from converters import SourceOptions, UnknownDialect
from effnet.choices import Backend
from effnet_core import Pooling
from tests.converters.memory import equal
from tests.foreign.comparison import check_back, check_controls, check_there, our_logits, too_far
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


@pytest.mark.parametrize(
    ("name", "pooling"), [("efficientnet_b0", Pooling.AVERAGE), ("efficientnet_b0 max", Pooling.MAX)]
)
def test_a_whole_classifier(judge: Judge, name: str, pooling: Pooling, tmp_path: Path) -> None:
    """Its network stands behind the backbone's name, its classifier does not; the configuration says the pooling."""
    made = judge.make(narrow(name), sizes=SIZES[:2], dtypes=["float32"])
    for kind in (".keras", ".h5"):
        ours = check_there(made, kind, KERAS_HUB)
        assert ours.spec.classifier is not None
        assert (ours.spec.classifier.pooling, ours.spec.classifier.dropout_rate) == (pooling, 0.3)
        assert any("as the model's configuration says" in note for note in ours.notes)
        check_controls(ours, made)
    effnet.convert(made.files[".keras"], tmp_path / "x.pth", to_format="pth", sync=False)
    converted = effnet.load_network(tmp_path / "x.pth")
    assert (converted.spec, equal(dict(converted.state), dict(ours.state))) == (ours.spec, True)
    listed = f"By the layers that the file lists there is {pooling} pooling"
    for kind, told in ((".weights.h5", listed), ("legacy weights", "assumed average pooling")):
        assumed = effnet.load_network(made.files[kind], options=KERAS_HUB)
        assert equal(dict(assumed.state), dict(ours.state))
        assert any(told in note for note in assumed.notes)
        found = our_logits(assumed, made, made.logits, backend=Backend.TORCH)
        assert (too_far(found, made.logits) == {}) is (told == listed or pooling is Pooling.AVERAGE)


def test_a_whole_classifier_of_native_size(judge: Judge) -> None:
    made = judge.make(Network(name="efficientnet_lite0"), sizes=[(224, 224)], dtypes=["float32"])
    ours = check_there(made, ".keras", KERAS_HUB)
    assert any("as the model's configuration says" in note for note in ours.notes)


def test_mixed_paddings_are_refused(judge: Judge) -> None:
    made = judge.make(narrow("efficientnet_es"), sizes=())
    with pytest.raises(UnknownDialect):
        effnet.load_network(made.files[".h5"], options=KERAS_HUB)
