import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

import effnet
from converters import SourceOptions
from effnet import ExportOptions
from effnet.backends import runner
from effnet.choices import Backend, Device, Precision
from effnet.exports.options import Kind
from effnet.exports.readers import serving_session
from effnet.exports.verification import verify_export
from effnet.images import load_bytes
from effnet_core import Kind as BlockKind
from effnet_core import Stage, from_json, resolve
from tests import oracle
from tests.effnet.exports.conftest import FOLDER, LETTERS, with_side
from tests.lively import lively_state

tf = pytest.importorskip("tensorflow", reason="the extra `tf` is not installed")
OPTIONS = ExportOptions(kind=Kind.SAVEDMODEL)


@pytest.fixture(scope="module")
def made(official, labels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "narrow"
    return effnet.export(official, folder, options=replace(OPTIONS, labels=labels, top=3))


def test_who_reads_it_agrees(made):
    assert made.path.name == "1"
    checks = made.verification.checks
    assert [check.question for check in checks if check.reader.startswith("TensorFlow")] == [
        "2x64x64x3",
        "2x65x42x3",
        "classify_bytes, a JPEG",
    ]
    assert all(check.agrees and check.difference < 1e-5 for check in checks)
    if find_spec("openvino") is not None:
        assert sum(check.reader.startswith("OpenVINO") for check in checks) == 2


def test_the_session_gives_the_official_logits(made):
    truth = oracle.load(FOLDER, ema=True)
    with serving_session(made.path) as (session, signatures):
        signature = signatures["serving_default"]
        fetch, feed = signature.outputs["logits"].name, signature.inputs["images"].name
        found = {size: session.run(fetch, {feed: images}) for size, images in truth.inputs.items()}
    for size in oracle.SIZES:
        wide = truth.logits64[size]
        assert np.abs(found[size] - wide).max() < 1e-5 * np.abs(wide).max()


@pytest.fixture(scope="module")
def loaded(made):
    return tf.saved_model.load(made.path)


def test_image_files_get_the_answers_of_pytorch(loaded, official, photograph):
    images = load_bytes(photograph, official.spec.preprocessing)[None]
    run = {"endpoints": ["logits"], "backend": Backend.TORCH, "precision": Precision.FLOAT32, "device": Device.CPU}
    with runner(official, **run) as torch:
        logits = torch(images)["logits"][0].astype(np.float64)
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    found = loaded.signatures["classify_bytes"](image_bytes=tf.constant([photograph, photograph]))
    best = np.argsort(-expected)[:3]
    assert found["indices"].numpy().tolist() == [best.tolist()] * 2
    assert found["classes"].numpy().tolist() == [[f"class {LETTERS[index]}".encode() for index in best]] * 2
    assert found["probabilities"].numpy()[1] == pytest.approx(expected[best], rel=1e-4)


def test_features_are_those_before_the_classifier(loaded, official):
    images = np.random.default_rng(3).standard_normal((1, 48, 80, 3), dtype=np.float32)
    run = {"endpoints": ["pooled"], "backend": Backend.TF, "precision": Precision.FLOAT32, "device": Device.CPU}
    with runner(official, **run) as keras:
        expected = keras(images)["pooled"]
    found = loaded.signatures["features"](images=images)["features"].numpy()
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5 * float(np.abs(expected).max()))


def test_what_travels_inside(made, official, labels):
    assets = made.path / "assets"
    assert from_json((assets / "effnet.json").read_text()) == official.spec
    assert (assets / "labels.txt").read_text() == labels.read_text()
    card = json.loads((assets / "card.json").read_text())
    assert (card["folded"], card["top"], card["runtime"]) == (False, 3, "savedmodel")
    source = effnet.digest(oracle.FOLDER / FOLDER, options=SourceOptions(spec=official.spec))
    assert card["digest"] == source.value == effnet.digest(made.path).value


def test_the_variables_can_be_converted_again(made, official):
    again = effnet.load_network(made.path)
    assert again.spec == official.spec
    assert again.state.keys() == official.state.keys()
    assert all(np.array_equal(again.state[name], array) for name, array in official.state.items())


def test_another_weight_is_seen(made, official):
    name = "blocks.3.project.conv.kernel"
    state = {**official.state, name: official.state[name] * 1.001}
    found = verify_export(replace(official, state=state), made.path, OPTIONS, None)
    assert not found.agrees


def test_a_runtime_that_does_not_run_the_network_is_named(tmp_path):
    """OpenVINO has no depthwise convolution with computed kernels; TensorFlow, for which the file is, has."""
    pytest.importorskip("openvino", reason="the extra `openvino` is not installed")
    stages = (
        Stage(repeats=1, kernel_size=3, stride=2, expansion=1, in_channels=32, out_channels=16),
        Stage(repeats=1, kernel_size=5, stride=2, expansion=2, in_channels=16, out_channels=24, kind=BlockKind.COND),
    )
    spec = with_side(resolve("condconv-b0-4e", width=0.25, stages=stages, num_classes=7), 64)
    small = effnet.Network(spec=spec, state=lively_state(spec), name="conditional")
    found = effnet.export(small, tmp_path / "conditional", options=OPTIONS)
    assert [note for note in found.notes if "OpenVINO" in note and "does not run this network: Unsupported" in note]
    assert {check.reader.split(",")[0] for check in found.verification.checks} == {"TensorFlow"}
    assert found.verification.agrees
