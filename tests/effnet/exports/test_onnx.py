"""ONNX exports, and where every export goes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import effnet
from converters import OutputError
from effnet import ExportOptions, Network
from effnet.errors import NotFiniteLogits, WrongExport
from effnet.exports import run as exports
from effnet.exports.options import Kind
from effnet.exports.readers import readers_of
from effnet_core import from_json, resolve
from effnet_onnx.layers import Layers
from tests import oracle
from tests.effnet.exports.conftest import FOLDER, with_side
from tests.lively import settled_state

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
OPTIONS = ExportOptions(kind=Kind.ONNX)


@pytest.mark.parametrize("fold", [False, True])
def test_onnx_runtime_gives_the_official_logits(official, tmp_path, fold):
    path = effnet.export(official, tmp_path / "narrow.onnx", options=replace(OPTIONS, fold=fold)).path
    truth = oracle.load(FOLDER, ema=True)
    with readers_of(Kind.ONNX)[0].open(path, "logits") as run:
        for size in oracle.SIZES:
            wide = truth.logits64[size]
            assert np.abs(run(truth.inputs[size]) - wide).max() < 1e-5 * np.abs(wide).max()


def test_what_travels_inside(official, labels, tmp_path):
    path = effnet.export(official, tmp_path / "a.onnx", options=replace(OPTIONS, labels=labels)).path
    texts = {item.key: item.value for item in onnx.load(path).metadata_props}
    assert from_json(texts["effnet.spec"]) == official.spec
    assert json.loads(texts["effnet.labels"]) == labels.read_text().splitlines()
    assert json.loads(texts["effnet.card"])["source"] == official.name


def test_versions_are_numbered_and_nothing_else_is_left(official, tmp_path):
    folder = tmp_path / "models" / "narrow"
    first, second = (effnet.export(official, folder, options=OPTIONS).path for _ in range(2))
    assert (first, second) == (folder / "1", folder / "2")
    effnet.export(official, folder, options=replace(OPTIONS, version=1, overwrite=True))
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        "1",
        "1/model.onnx",
        "2",
        "2/model.onnx",
    ]


def test_a_place_that_is_taken(official, tmp_path):
    (tmp_path / "3").mkdir()
    with pytest.raises(OutputError, match="3 exists"):
        effnet.export(official, tmp_path, options=replace(OPTIONS, version=3))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="expected the folder of a model"):
        effnet.export(official, tmp_path / "file", options=OPTIONS)
    with pytest.raises(OutputError, match=r"should end in \.pt2"):
        effnet.export(official, tmp_path / "a", options=replace(OPTIONS, kind=Kind.TORCH_EXPORT))
    for kind in (Kind.ONNX, Kind.SAVEDMODEL):
        with pytest.raises(OutputError, match=r"a\.pt2 ends as files of another kind do; expected a folder"):
            effnet.export(official, tmp_path / "a.pt2", options=replace(OPTIONS, kind=kind))
    assert not (tmp_path / "a.pt2").exists()


def test_what_differs_gets_no_place(official, tmp_path, monkeypatch):
    write = exports.write

    def write_another(network, *arguments):
        kernel = network.state["stem.conv.kernel"]
        write(replace(network, state={**network.state, "stem.conv.kernel": kernel[::-1]}), *arguments)

    monkeypatch.setattr(exports, "write", write_another)
    with pytest.raises(WrongExport, match="1 was not written, because what was made gives other results"):
        effnet.export(official, tmp_path / "model", options=OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_of_the_writer_is_seen(official, tmp_path, monkeypatch):
    """The judge is another implementation: it does not share the mistake."""
    norm = Layers.norm

    def with_another_epsilon(self, *arguments, **options):
        rule = replace(self.norm_rule, epsilon=0.3)
        return norm(replace(self, norm_rule=rule), *arguments, **options)

    monkeypatch.setattr(Layers, "norm", with_another_epsilon)
    with pytest.raises(WrongExport, match="gives other results than the network"):
        effnet.export(official, tmp_path / "a.onnx", options=OPTIONS)


def test_whatever_interrupts_a_replacement_leaves_the_old_version(official, tmp_path, monkeypatch):
    effnet.export(official, tmp_path, options=OPTIONS)
    before = (tmp_path / "1" / "model.onnx").read_bytes()
    rename = Path.rename

    def interrupted(self, target):
        if Path(target) == tmp_path / "1" and ".partial" in str(self) and self.name == "1":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        effnet.export(official, tmp_path, options=replace(OPTIONS, version=1, overwrite=True, fold=True))
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    assert (tmp_path / "1" / "model.onnx").read_bytes() == before


def test_what_is_no_export_is_not_replaced(official, tmp_path):
    (tmp_path / "2024").mkdir()
    (tmp_path / "2024" / "photograph.jpg").touch()
    with pytest.raises(OutputError, match=r"holds no model\.onnx"):
        effnet.export(official, tmp_path, options=replace(OPTIONS, version=2024, overwrite=True))
    assert (tmp_path / "2024" / "photograph.jpg").exists()


def test_few_classes_are_all_named(tmp_path):
    spec = resolve("b0", width=0.13, depth=0.05, num_classes=3)
    spec = with_side(spec, 64)
    path = effnet.export(
        Network(spec=spec, state=settled_state(spec), name="few"), tmp_path / "few.onnx", options=OPTIONS
    ).path
    [card] = [item.value for item in onnx.load(path).metadata_props if item.key == "effnet.card"]
    assert json.loads(card)["top"] == 3


def test_a_network_that_gives_no_numbers_is_named(official, tmp_path):
    state = {**official.state, "head.norm.beta": official.state["head.norm.beta"] * np.nan}
    with pytest.raises(NotFiniteLogits, match="gives NaN or infinite numbers in float64"):
        effnet.export(replace(official, state=state), tmp_path / "a.onnx", options=OPTIONS)
    assert list(tmp_path.iterdir()) == []
