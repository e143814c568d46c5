"""ONNX files that are served only in part, or not at all."""

import json
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest

import effnet
from effnet.errors import MissingFramework
from effnet.exports.options import Kind
from effnet.serving.errors import Refused, UnservableModel
from effnet.serving.limits import Limits
from effnet.serving.models import load_models
from effnet.serving.request import parse
from effnet_core import without_classifier
from effnet_onnx.export import write_model
from effnet_onnx.model import create_model

LIMITS = Limits(max_batch=2)


@pytest.fixture
def written(network, tmp_path):
    """A file as `export` writes it, for any size or one."""

    def write(size=None, **texts):
        path = tmp_path / "narrow.onnx"
        write_model(network.spec, network.state, path, input_size=size, labels=None, texts=texts)
        return path

    return write


def loaded(path):
    (model,) = load_models(path, limits=LIMITS, threads=1)
    return model.backend.signatures


def asked(signatures, height, width):
    images = np.zeros((1, height, width, 3)).tolist()
    return parse(json.dumps({"instances": images}).encode(), signatures, LIMITS).images.shape


@pytest.mark.parametrize(("size", "has_photographs"), [(None, True), ((64, 64), True), ((64, 96), False)])
def test_a_file_of_one_size_takes_that_size_alone(written, size, has_photographs):
    signatures = loaded(written(size))
    assert ("classify_bytes" in signatures) is has_photographs
    assert signatures["serving_default"].input.shape == (-1, *(size or (-1, -1)), 3)
    assert asked(signatures, *(size or (64, 96))) == (1, *(size or (64, 96)), 3)
    if size is None:
        assert asked(signatures, 65, 49) == (1, 65, 49, 3)
    else:
        with pytest.raises(Refused, match=rf"expected images as numbers of shape \(N, {size[0]}, {size[1]}, 3\)"):
            asked(signatures, 65, 49)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"layout": "channels_first"}, "(N, height, width, 3)"),
        ({"dtype": "float64"}, "tensor(double)"),
        ({"endpoints": ["stem"]}, "takes image: "),
    ],
)
def test_other_models_of_the_same_network_are_refused(network, tmp_path, options, says):
    path = tmp_path / "other.onnx"
    onnx.save(create_model(network.spec, network.state, **options), path)
    with pytest.raises(UnservableModel) as refused:
        loaded(path)
    assert says in str(refused.value)
    assert "effnet export" in str(refused.value)


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("effnet.labels", "[", "no JSON"),
        ("effnet.card", "{", "no JSON"),
        ("effnet.card", '{"top": "x"}', "'top'"),
        ("effnet.card", '{"top": true}', "'top'"),
    ],
)
def test_damaged_texts_are_refused(written, key, text, says):
    with pytest.raises(UnservableModel, match=says):
        loaded(written(**{key: text}))


def test_photographs_without_pillow(written, monkeypatch):
    path = written()
    assert "classify_bytes" in loaded(path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingFramework, match=r"Pillow.*pip install"):
        loaded(path)


def test_a_network_without_classifier_gives_features(network, tmp_path):
    headless = replace(network, spec=without_classifier(network.spec))
    state = {name: array for name, array in network.state.items() if not name.startswith("classifier")}
    path = tmp_path / "features.onnx"
    effnet.export(replace(headless, state=state), path, options=effnet.ExportOptions(kind=Kind.ONNX))
    signatures = loaded(path)
    assert set(signatures) == {"features", "serving_default"}
    assert set(signatures["serving_default"].outputs) == {"features"}
