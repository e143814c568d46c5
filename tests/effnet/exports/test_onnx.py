"""ONNX exports, and where every export goes."""

import json
from dataclasses import replace

import numpy as np
import pytest

import effnet
from converters import OutputError
from effnet import ExportOptions
from effnet.errors import WrongExport
from effnet.exports import run as exports
from effnet.exports.options import Kind
from effnet.exports.readers import readers_of
from effnet_core import from_json
from tests import oracle
from tests.effnet.exports.conftest import FOLDER

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


def test_what_differs_gets_no_place(official, tmp_path, monkeypatch):
    write = exports.write

    def write_another(network, *arguments):
        kernel = network.state["stem.conv.kernel"]
        write(replace(network, state={**network.state, "stem.conv.kernel": kernel[::-1]}), *arguments)

    monkeypatch.setattr(exports, "write", write_another)
    with pytest.raises(WrongExport, match="1 was not written, because what was made gives other results"):
        effnet.export(official, tmp_path / "model", options=OPTIONS)
    assert list((tmp_path / "model").iterdir()) == []
