"""What Keras 3 and TensorFlow save today, and the names and values that are found in it without them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import open_checkpoint
from converters.formats import open_reader
from converters.formats._bundle.index import GRAPH_KEY
from effnet_core import resolve
from tests.lively import lively_state
from tests.named_values import named_values

keras = pytest.importorskip("keras", reason="Keras writes the files")
tf = pytest.importorskip("tensorflow", reason="TensorFlow writes the files")

SAVED_MODELS = ("export", "archive", "saved_model")
WRITERS = (*SAVED_MODELS, "checkpoint", "saved_checkpoint", "root_checkpoint", "trained")


def small() -> Any:
    """Layers of every kind that EfficientNet has, with their names in keras.applications."""
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.Normalization(name="normalization")(image)
    x = layers.Conv2D(4, 3, use_bias=False, name="stem_conv")(x)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, name="block1a_dwconv")(x)
    x = layers.Conv2D(2, 1, name="block1a_se_reduce")(x)
    x = layers.Dropout(0.2, noise_shape=(None, 1, 1, 1), name="block1a_drop")(x)
    return keras.Model(image, x, name="efficientnetb0")


def names_of(model: Any) -> set[str]:
    """Layer and leaf of every variable; of a dropout only the state of its random generator, which is no weight."""
    held = {layer.name: layer.variables for layer in model.layers if not isinstance(layer, keras.layers.Dropout)}
    return {f"{name}/{variable.name}" for name, variables in held.items() for variable in variables}


@dataclass(frozen=True, kw_only=True)
class Saved:
    folder: Path
    names: set[str]
    """Of the network with its classifier."""
    without_classifier: set[str]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """One network saved in every way, and the same inside another one that was trained for a step."""
    folder = tmp_path_factory.mktemp("keras")
    inner = small()
    pooled = keras.layers.GlobalAveragePooling2D()(inner.output)
    outer = keras.Model(inner.input, keras.layers.Dense(3, name="predictions")(pooled))
    nested = keras.Sequential([keras.Input((8, 8, 3)), inner, keras.layers.GlobalMaxPooling2D(name="pool")])
    nested.compile("adam", "mse")
    nested.train_on_batch(np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 2), np.float32))
    for variable in outer.variables:
        if variable.dtype == "float32":
            variable.assign(named_values(variable.path, tuple(variable.shape)))
    paths = {name: folder / name for name in WRITERS}
    outer.export(paths["export"], verbose=False)
    archive = keras.export.ExportArchive()
    archive.track(outer)
    archive.add_endpoint("serve", outer.call, input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.float32)])
    archive.write_out(str(paths["archive"]), verbose=False)
    tf.saved_model.save(outer, str(paths["saved_model"]))
    tf.train.Checkpoint(model=outer).write(str(paths["checkpoint"]))
    tf.train.Checkpoint(model=outer).save(str(paths["saved_checkpoint"] / "ckpt"))
    tf.train.Checkpoint(outer).write(str(paths["root_checkpoint"]))
    tf.train.Checkpoint(model=nested, optimizer=nested.optimizer).save(str(paths["trained"] / "ckpt"))
    return Saved(folder=folder, names=names_of(outer), without_classifier=names_of(inner))


@pytest.mark.parametrize("writer", WRITERS)
def test_names_and_values_of_what_keras_3_saves(writer: str, saved: Saved) -> None:
    with open_reader(saved.folder / writer) as reader:
        assert reader.format == ("saved-model" if writer in SAVED_MODELS else "tensor-bundle")
        assert reader.tensors.keys() == (saved.without_classifier if writer == "trained" else saved.names)
        for name, info in reader.tensors.items():
            if info.dtype == np.float32:
                assert np.array_equal(reader.read(name), named_values(name, info.shape)), name
        reasons = {reason for key, reason in reader.skipped.items() if key != GRAPH_KEY}
    assert ("a number of the optimiser" in reasons) == (writer == "trained")
    assert ("how often the checkpoint was saved" in reasons) == (writer in ("trained", "saved_checkpoint"))
    assert any("second copy" in reason for reason in reasons) == (writer in ("export", "archive"))


def test_a_network_of_this_project_saved_by_tensorflow_is_the_same_network(tmp_path: Path) -> None:
    effnet_tf = pytest.importorskip("effnet_tf", reason="TensorFlow is not installed")
    spec = resolve("b0", width=0.13, depth=0.5, num_classes=10)
    state = lively_state(spec)
    tf.train.Checkpoint(model=effnet_tf.create_model(spec, state)).write(str(tmp_path / "model"))
    with open_checkpoint(tmp_path / "model") as checkpoint:
        found = checkpoint.state()
    assert found.keys() == state.keys()
    assert all(np.array_equal(found[name], array) for name, array in state.items())
