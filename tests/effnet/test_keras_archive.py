"""Conversion to Keras archives and back; TensorFlow is loaded once for all of them."""

import inspect as stacks
import os
import shutil
import sys
import zipfile

import keras
import numpy as np
import pytest

import converters
from converters import (
    EmaUnavailable,
    FormatError,
    NotFinite,
    OutputError,
    SourceOptions,
    UnknownArchitecture,
    UnknownDialect,
)
from converters.errors import UnreadableFile
from effnet import convert, info, inspect, load_model, load_network
from effnet_core import (
    CheckpointMismatch,
    InvalidOption,
    InvalidSpec,
    parameters,
    resolve,
    without_classifier,
    without_head,
)
from tests.heads import short, with_hidden
from tests.lively import images, lively_state

SPEC = resolve("b0", width=0.13, depth=0.1, num_classes=7, dropout_rate=0.4)
STATE = lively_state(SPEC)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "x.safetensors"
    converters.save_state(path, SPEC, STATE)
    return path


@pytest.fixture(scope="module")
def archive(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "x.keras"
    report = convert(source, path)
    assert (report.format, report.target, report.tensors) == ("keras", (path,), len(parameters(SPEC)))
    assert report.nbytes == sum(array.nbytes for array in STATE.values())
    assert list(path.parent.iterdir()) == [path]
    return path


def edited(archive, folder, **entries):
    """A copy of the archive in which entries are replaced; None leaves one out."""
    path = folder / "edited.keras"
    changes = {name.replace("_json", ".json").replace("_h5", ".weights.h5"): data for name, data in entries.items()}
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = changes.get(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return path


def test_there_and_back_bit_for_bit(archive, tmp_path):
    report = convert(archive, tmp_path / "again.safetensors")
    assert report.spec == SPEC
    assert report.source == archive
    assert "as the definition in the file says" in report.notes[0]
    with converters.open_checkpoint(tmp_path / "again.safetensors") as checkpoint:
        found = checkpoint.state()
        assert '"file":"x.keras"' in checkpoint.reader.metadata["effnet.source"]
    assert found.keys() == STATE.keys()
    assert all(found[name].tobytes() == STATE[name].tobytes() for name in STATE)


def test_keras_alone_opens_it_and_gives_the_same_logits(archive):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    batch = images(2, 32, 32)
    logits = np.asarray(keras.models.load_model(archive, compile=False)(batch, training=False))
    np.testing.assert_array_equal(logits, load_model(archive, backend="tf")(batch, training=False))
    assert np.ptp(logits, axis=0).max() > 0.05


def test_the_same_weights_in_pytorch(archive):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    batch = images(2, 32, 33)
    model = load_model(archive, backend="torch", dtype="float64", endpoints=["blocks.3", "logits"])
    assert not model.training
    with torch.inference_mode():
        found = model(torch.from_numpy(batch.astype(np.float64)).permute(0, 3, 1, 2))
    expected = load_model(archive, backend="tf", dtype="float64", endpoints=["blocks.3", "logits"])(batch)
    assert list(found) == ["blocks.3", "logits"]
    np.testing.assert_allclose(found["logits"].numpy(), np.asarray(expected["logits"]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("spec", [SPEC, resolve("v2-s", width=0.13, depth=0.1), resolve("condconv-b0-4e", width=0.13)])
@pytest.mark.parametrize("name", ["x.h5", "x.weights.h5"])
def test_keras_loads_weights_without_a_model(spec, name, tmp_path):
    effnet_tf = pytest.importorskip("effnet_tf", reason="TensorFlow is not installed")
    state = lively_state(spec)
    report = converters.save_state(tmp_path / name, spec, state)
    assert report.dialect == "effnet-keras"
    model = effnet_tf.create_model(spec)
    model.load_weights(tmp_path / name)
    found = effnet_tf.read_state(model, spec)
    assert found.keys() == state.keys()
    assert all(found[key].tobytes() == state[key].tobytes() for key in state)
    saved = tmp_path / f"again-{name}"
    model.save_weights(saved) if name == "x.weights.h5" else model.save(saved)
    with converters.open_checkpoint(saved, SourceOptions(spec=spec)) as checkpoint:
        again = checkpoint.state()
    assert all(again[key].tobytes() == state[key].tobytes() for key in state)


def test_an_archive_of_a_network_deeper_than_python_allows_calls_is_written_and_said_to_be(source, tmp_path):
    """EfficientNetV2-XL is, for the usual limit."""
    assert not any("setrecursionlimit" in note for note in convert(source, tmp_path / "x.keras").notes)  # the control
    usual = sys.getrecursionlimit()
    deep = resolve("b0", width=0.04, depth=0.7, num_classes=3)
    converters.save_state(tmp_path / "deep.safetensors", deep, lively_state(deep))
    try:
        sys.setrecursionlimit(len(stacks.stack()) + 150)
        report = convert(tmp_path / "deep.safetensors", tmp_path / "deep.keras")
        assert any("sys.setrecursionlimit(10_000) before" in note for note in report.notes)
        with pytest.raises(RecursionError):
            keras.models.load_model(tmp_path / "deep.keras", compile=False)
    finally:
        sys.setrecursionlimit(usual)
    assert keras.models.load_model(tmp_path / "deep.keras", compile=False).count_params() > 0


def test_inspect_and_info(archive):
    assert info(archive).spec == SPEC
    found = inspect(archive)
    assert (found.format, found.dialect, len(found.tensors)) == ("keras", "effnet-keras", len(STATE))
    assert {tensor.canonical: tensor.shape for tensor in found.tensors} == {name: a.shape for name, a in STATE.items()}
    assert "stem.conv/kernel" in {tensor.name for tensor in found.tensors}


def test_an_output_that_exists_is_kept(source, archive):
    before = archive.read_bytes()
    with pytest.raises(OutputError, match="--force"):
        convert(source, archive)
    assert archive.read_bytes() == before


def test_an_output_is_replaced_on_request(source, tmp_path):
    target = tmp_path / "x.keras"
    target.write_text("old")
    convert(source, target, overwrite=True, dtype="float64")
    assert load_network(target).spec == SPEC
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(("options", "message"), [({"to": "official"}, "--to"), ({"dtype": "float16"}, "float16")])
def test_what_an_archive_cannot_be(source, tmp_path, options, message):
    with pytest.raises(OutputError, match=message):
        convert(source, tmp_path / "x.keras", **options)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_refused(tmp_path):
    state = STATE | {"head.norm.beta": np.full_like(STATE["head.norm.beta"], np.nan)}
    path = tmp_path / "x.npz"
    converters.save_state(path, SPEC, state, allow_non_finite=True)
    with pytest.raises(NotFinite, match=r"head\.norm\.beta"):
        convert(path, tmp_path / "x.keras")
    convert(path, tmp_path / "x.keras", allow_non_finite=True)


def test_without_a_definition_the_network_is_found(archive, tmp_path):
    path = edited(archive, tmp_path, effnet_json=None)
    for options in (SourceOptions(), SourceOptions(arch="b0", width=0.13, depth=0.1)):
        network = load_network(path, options=options)
        assert (network.spec.name, network.spec.blocks) == (SPEC.name, SPEC.blocks)
        np.testing.assert_array_equal(network.state["stem.conv.kernel"], STATE["stem.conv.kernel"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SourceOptions(arch="b1"), "efficientnet-b1 .width 1, depth 1.1, 7 classes"),
        (SourceOptions(arch="edgetpu-s"), "efficientnet-edgetpu-S"),
        (SourceOptions(width=1.0), "width 1, depth 0.1, 7 classes"),
        (SourceOptions(num_classes=8), "width 0.13, depth 0.1, 8 classes"),
        (SourceOptions(spec=resolve("b0")), "width 1, depth 1, 1000 classes"),
    ],
    ids=["arch", "edgetpu", "width", "classes", "spec"],
)
def test_another_network_than_the_one_named(archive, tmp_path, options, message):
    with pytest.raises(CheckpointMismatch, match=message):
        convert(archive, tmp_path / "x.npz", options=options)
    assert list(tmp_path.iterdir()) == []


def test_a_depth_that_no_variant_has(archive):
    with pytest.raises(UnknownArchitecture, match="7 blocks"):
        load_network(archive, options=SourceOptions(depth=1.0))


def test_what_fits_may_be_said(archive):
    for options in (
        SourceOptions(arch="b0", width=0.13, depth=0.1),
        SourceOptions(width=0.13, num_classes=7, ema="never", dialect="effnet-keras"),
        SourceOptions(spec=SPEC),
    ):
        network = load_network(archive, options=options)
        assert network.spec.blocks == SPEC.blocks
        np.testing.assert_array_equal(network.state["stem.conv.kernel"], STATE["stem.conv.kernel"])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ema": "always"}, EmaUnavailable),
        ({"dialect": "official"}, UnknownDialect),
        ({"dialect": "oficial"}, UnknownDialect),
    ],
)
def test_what_no_archive_has(archive, options, error):
    with pytest.raises(error):
        load_network(archive, options=SourceOptions(**options))


@pytest.mark.parametrize("name", ["x.zip", "x", "x.pth"])
def test_an_archive_is_told_by_its_bytes(archive, tmp_path, name):
    path = shutil.copy(archive, tmp_path / name)
    assert inspect(path).format == "keras"
    assert load_network(path).spec == info(path).spec == SPEC
    assert load_network(path, options=SourceOptions(format="keras")).spec == SPEC


def test_a_name_does_not_make_an_archive(source, tmp_path):
    path = shutil.copy(source, tmp_path / "x.keras")
    assert load_network(path).format == "safetensors"
    with pytest.raises(FormatError, match="no sound zip archive"):
        load_network(path, options=SourceOptions(format="keras"))


def test_numbers_are_left_unread_on_request(archive):
    assert {tensor.nan for tensor in inspect(archive, data=False).tensors} == {None}


@pytest.mark.parametrize("named", [None, "keras"])
def test_a_pipe_is_refused_at_once(tmp_path, named):
    os.mkfifo(tmp_path / "x.keras")
    with pytest.raises((FormatError, UnreadableFile), match=r"x\.keras"):
        inspect(tmp_path / "x.keras", options=SourceOptions(format=named))


def test_options_of_a_model_are_checked_before_the_archive_is_read():
    with pytest.raises(InvalidOption, match="expected one of tf, torch"):
        load_model("absent.keras", backend="keras")
    with pytest.raises(InvalidOption, match="Keras places its models itself"):
        load_model("absent.keras", backend="tf", device="cuda")


def test_an_archive_is_written_through_a_link(source, tmp_path):
    link = tmp_path / "link.keras"
    link.symlink_to(tmp_path / "x.keras")
    convert(source, link)
    assert link.is_symlink()
    assert load_network(tmp_path / "x.keras").spec == SPEC


def test_damaged_archives(archive, tmp_path):
    with pytest.raises(InvalidSpec):
        load_network(edited(archive, tmp_path, effnet_json=b"{}"))
    with pytest.raises(FormatError, match="no sound HDF5 file of Keras"):
        load_network(edited(archive, tmp_path, model_h5=b"no HDF5"))
    data = archive.read_bytes()
    for name, content in {"half": data[: len(data) // 2], "empty": b"", "text": b"text"}.items():
        path = tmp_path / f"{name}.keras"
        path.write_bytes(content)
        with pytest.raises(FormatError, match=name):
            load_network(path)
    with pytest.raises(UnreadableFile, match="does not exist"):
        load_network(tmp_path / "absent.keras")


def test_the_recipe_can_be_set(archive):
    assert info(archive, options=SourceOptions(recipe="advprop")).spec.preprocessing.recipe == "advprop"


@pytest.mark.parametrize("end", [with_hidden, without_classifier, without_head])
def test_networks_that_end_elsewhere(end, tmp_path):
    spec = end(short())
    state = lively_state(spec)
    converters.save_state(tmp_path / "x.npz", spec, state, sync=False)
    convert(tmp_path / "x.npz", tmp_path / "x.keras", sync=False)
    found = load_network(tmp_path / "x.keras")
    assert found.spec == spec
    assert all(found.state[name].tobytes() == array.tobytes() for name, array in state.items())
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    model = keras.models.load_model(tmp_path / "x.keras", compile=False)
    expected = load_model(tmp_path / "x.npz", backend="tf")
    np.testing.assert_array_equal(model(images(2, 32, 32)), expected(images(2, 32, 32)))
