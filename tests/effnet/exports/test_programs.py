"""Exports for LiteRT, `torch.export` and Keras."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import effnet
from effnet import ExportOptions, Network
from effnet.cli.app import app
from effnet.errors import InputError
from effnet.exports.options import Kind, Quantize
from effnet.exports.verification import verify_export
from effnet_core import InvalidOption, from_json, resolve
from tests import oracle
from tests.effnet.exports.conftest import with_side
from tests.lively import settled_state

ODD = (65, 49)


@pytest.fixture(scope="module")
def small():
    """Seven blocks: making a graph takes time for each of them."""
    spec = resolve("b0", width=0.13, depth=0.05, num_classes=9)
    return Network(spec=with_side(spec, 64), state=settled_state(spec), name="small")


@pytest.fixture(scope="module")
def lite(small, labels, tmp_path_factory):
    pytest.importorskip("ai_edge_litert", reason="the extra `tflite` is not installed")
    path = tmp_path_factory.mktemp("lite") / "narrow.tflite"
    return effnet.export(small, path, options=ExportOptions(kind=Kind.TFLITE, size=ODD, labels=labels, fold=True))


def test_litert_gives_the_logits_of_float64(lite):
    [check] = lite.verification.checks
    assert check.agrees
    assert (check.question, check.difference < 1e-5) == ("2x65x49x3", True)


def test_its_texts_come_back(lite, small, labels):
    with zipfile.ZipFile(lite.path) as archive:
        assert archive.read("labels.txt").decode() == labels.read_text()
        assert from_json(archive.read("effnet.json").decode()).name == small.spec.name


def test_another_weight_is_seen(lite, small):
    state = {**small.state, "head.norm.beta": small.state["head.norm.beta"] + 0.01}
    options = ExportOptions(kind=Kind.TFLITE, size=ODD)
    assert not verify_export(replace(small, state=state), lite.path, options, None).agrees


@pytest.mark.parametrize(("quantize", "limit"), [(Quantize.FLOAT16, 1e-2), (Quantize.INT8, 0.5)])
def test_narrow_numbers_are_measured(small, tmp_path, quantize, limit):
    pytest.importorskip("ai_edge_litert", reason="the extra `tflite` is not installed")
    photographs = [tmp_path / f"{index}.png" for index in range(8)]
    random = np.random.default_rng(0)
    for path in photographs:
        noise = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((90, 70), Image.Resampling.BICUBIC).save(path)
    calibration = photographs if quantize is Quantize.INT8 else ()
    options = ExportOptions(kind=Kind.TFLITE, quantize=quantize, calibration=calibration)
    found = effnet.export(small, tmp_path / "narrow.tflite", options=options)
    [check] = found.verification.checks
    assert check.agrees is None
    assert 1e-6 < check.difference < limit


def test_torch_export_takes_any_batch_and_size(small, tmp_path):
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    path = tmp_path / "narrow.pt2"
    found = effnet.export(small, path, options=ExportOptions(kind=Kind.TORCH_EXPORT))
    assert [check.question for check in found.verification.checks] == ["2x64x64x3", "2x65x42x3"]
    assert all(check.agrees for check in found.verification.checks)
    texts = {"effnet.json": "", "card.json": ""}
    program = torch.export.load(path, extra_files=texts).module()
    assert program(torch.zeros(5, 3, 33, 70)).shape == (5, 9)
    assert from_json(texts["effnet.json"]) == small.spec
    assert json.loads(texts["card.json"])["runtime"] == "torch-export"


def test_keras_opens_a_folded_archive(small, tmp_path):
    pytest.importorskip("tensorflow", reason="the extra `tf` is not installed")
    path = tmp_path / "narrow.keras"
    found = effnet.export(small, path, options=ExportOptions(kind=Kind.KERAS, fold=True))
    assert [check.agrees for check in found.verification.checks] == [True, True]
    assert effnet.load_network(path).spec.norm is None


def test_conditional_convolutions_are_refused_for_litert(tmp_path):
    pytest.importorskip("ai_edge_litert", reason="the extra `tflite` is not installed")
    network = effnet.load_network(oracle.FOLDER / "efficientnet-condconv-b0-4e")
    network = replace(network, spec=with_side(network.spec, 64))
    with pytest.raises(InvalidOption, match="computed kernels"):
        effnet.export(network, tmp_path / "a.tflite", options=ExportOptions(kind=Kind.TFLITE))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": Kind.ONNX, "quantize": Quantize.INT8}, "--quantize is for tflite alone"),
        ({"kind": Kind.TFLITE, "version": 2}, "--version is for savedmodel and onnx alone"),
        ({"kind": Kind.SAVEDMODEL, "size": (64, 64)}, "--size is for onnx and tflite alone"),
        ({"kind": Kind.SAVEDMODEL, "version": 0}, "expected a number from 1 to"),
        ({"kind": Kind.TFLITE, "quantize": Quantize.INT8}, "expected --calibration IMAGES"),
        (
            {"kind": Kind.TFLITE, "quantize": Quantize.INT8, "calibration": ["x.jpg"] * 1001},
            "1,001 calibration images.*at most 1,000",
        ),
    ],
)
def test_options_that_do_not_fit(fields, words):
    with pytest.raises(InputError, match=words):
        ExportOptions(**fields)


def test_calibration_takes_the_images_of_a_folder_and_of_those_inside_it(tmp_path, monkeypatch):
    command = ["export", "x.pth", "x.tflite", "--as", "tflite", "--quantize", "int8", "--calibration", str(tmp_path)]
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").touch()
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "holds no images; expected files that end with .bmp" in refused.stderr
    found = [tmp_path / "cats" / "1.jpg", tmp_path / "dogs" / "0.png"]
    for path in found:
        path.touch()
    taken = []
    monkeypatch.setattr("effnet.exports.run.export", lambda *_, options, source: taken.extend(options.calibration))
    CliRunner().invoke(app, command)
    assert taken == found


def test_a_word_that_is_no_kind():
    with pytest.raises(InvalidOption, match="expected one of savedmodel, onnx"):
        Kind("tensorrt")


def test_names_for_other_classes_are_refused(small, tmp_path, labels):
    with pytest.raises(InputError, match="9 names in 9 lines; expected 1000"):
        effnet.export(
            replace(small, spec=resolve("b0")),
            tmp_path / "a.keras",
            options=ExportOptions(kind=Kind.KERAS, labels=labels),
        )
