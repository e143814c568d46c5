"""Saved and exported models open without this project: built-in layers only, under names with dots.

Those with conditional convolutions need effnet_tf when they are opened in Keras; exported ones do not.
"""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from effnet_core import resolve
from effnet_tf import create_model, read_state
from tests import oracle
from tests.lively import images, lively_state

SMALL = resolve("b0", width=0.13, depth=0.1, num_classes=10)
FAMILIES = {
    name: resolve(name, width=0.13, depth=0.1, num_classes=10) for name in ("edgetpu-S", "condconv-b0-4e", "v2-b0")
}

PLAIN_KERAS = """
import sys, pathlib
for project in ("effnet_core", "effnet_tf", "effnet_torch", "effnet", "converters"):
    sys.modules[project] = None  # importing it fails
import keras, numpy
folder = pathlib.Path(sys.argv[1])
for path in folder.glob("*.keras"):
    try:
        model = keras.models.load_model(path)
    except TypeError as error:
        path.with_suffix(".txt").write_text(str(error))
        continue
    logits = numpy.asarray(model(numpy.load(folder / "input.npy"), training=False))
    numpy.save(path.with_suffix(".npy"), logits)
"""


@pytest.fixture(scope="module")
def truth():
    return oracle.load("efficientnet-b0", ema=True)


@pytest.fixture(scope="module")
def model(truth):
    return create_model(truth.spec, truth.state)


@pytest.fixture(scope="module")
def others():
    return {name: create_model(spec, lively_state(spec)) for name, spec in FAMILIES.items()}


@pytest.fixture(scope="module")
def saved(model, others, tmp_path_factory):
    """A folder of saved networks, one of each family."""
    folder = tmp_path_factory.mktemp("saved")
    for name, network in {"b0": model, **others}.items():
        network.save(folder / f"{name}.keras")
    return folder


def test_a_saved_model_opens_in_plain_keras(truth, model, others, saved):
    image = truth.inputs["65x49"]
    np.save(saved / "input.npy", image)
    subprocess.run([sys.executable, "-I", "-c", PLAIN_KERAS, saved], check=True, cwd=saved)
    for name in ("b0", "edgetpu-S", "v2-b0"):
        expected = np.asarray(model(image) if name == "b0" else others[name](image))
        assert np.load(saved / f"{name}.npy").tobytes() == expected.tobytes(), name
    assert "CondPointwiseConv2D" in (saved / "condconv-b0-4e.txt").read_text()


def test_a_saved_model_with_conditional_convolutions_opens_with_effnet_tf(truth, others, saved):
    again = keras.models.load_model(saved / "condconv-b0-4e.keras")
    for image in (truth.inputs["65x49"], images(3, 40, 33)):
        expected = np.asarray(others["condconv-b0-4e"](image))
        assert np.asarray(again(image)).tobytes() == expected.tobytes()


def test_the_state_of_a_reopened_model_is_the_same(truth, saved):
    state = read_state(keras.models.load_model(saved / "b0.keras"), truth.spec)
    assert all(state[name].tobytes() == array.tobytes() for name, array in truth.state.items())


def test_a_saved_model_with_endpoints_reopens_in_double_precision(tmp_path):
    model = create_model(SMALL, lively_state(SMALL), endpoints=["reduction_3", "logits"], dtype="float64", seed=1)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    image = images(2, 45, 64).astype("float64")
    expected = model(image)
    for name, value in again(image).items():
        assert value.dtype == "float64"
        np.testing.assert_array_equal(value, expected[name])


def test_an_exported_model_runs_at_any_size(others, tmp_path):
    model = others["condconv-b0-4e"]
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    for image in (images(1, 64, 64), images(3, 45, 31)):
        assert oracle.relative_error(exported.serve(image).numpy(), np.asarray(model(image))) < 3e-6
