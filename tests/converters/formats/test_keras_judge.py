"""Keras 3 writes what is read here, and loads what is written; TensorFlow is loaded once for all."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from converters.formats import open_reader, output_format
from converters.formats.base import Array
from tests.converters.formats import containers

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="Keras is not installed"),
]
DEPTHWISE = "block1a_dwconv"


def build(keras: Any, *, name: str = "efficientnetb0") -> Any:
    """A stem, a block with a squeeze and a head; some layers without variables between."""
    layers = keras.layers
    image = keras.Input((None, None, 3))
    x = layers.Normalization(name="normalization")(layers.Rescaling(1 / 255)(image))
    x = layers.Conv2D(4, 3, use_bias=False, name="stem_conv")(x)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, name=DEPTHWISE)(x)
    x = layers.BatchNormalization(name="block1a.bn", scale=False, center=False)(x)
    squeezed = layers.Conv2D(4, 1, name="block1a_se_reduce")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, squeezed])
    return keras.Model(image, x, name=name)


def with_head(keras: Any, body: Any) -> Any:
    """The network inside another model, with a head."""
    image = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(body(image))
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(image, keras.layers.Dense(5, name="predictions")(x))


def make_lively(model: Any) -> None:
    for number, variable in enumerate(model.weights):
        values = np.random.default_rng(number).uniform(1, 9, variable.shape)
        variable.assign(values.astype(variable.dtype))


def weights_of(model: Any, *, depthwise: str) -> dict[str, Array]:
    """The variables as `LAYER/leaf`; Keras 3 calls a depthwise kernel `kernel` too."""
    found = {variable.path: np.asarray(variable) for variable in model.weights}
    return {
        name.replace(f"{DEPTHWISE}/kernel", f"{DEPTHWISE}/{depthwise}"): array
        for name, array in found.items()
        if "seed" not in name
    }


def read_all(path: Path) -> dict[str, Array]:
    with open_reader(path) as reader:
        return {name: reader.read(name).copy() for name in reader.tensors}


def equal(found: Mapping[str, Array], truth: Mapping[str, Array]) -> bool:
    return found.keys() == truth.keys() and containers.same({name: found[name] for name in truth}, truth)


@pytest.fixture(scope="module")
def keras() -> Any:
    return importlib.import_module("keras")


@pytest.fixture(scope="module")
def flat(keras: Any) -> Any:
    model = build(keras)
    make_lively(model)
    return model


@pytest.fixture(scope="module")
def nested(keras: Any) -> Any:
    """A whole model, trained for one step."""
    model = with_head(keras, build(keras))
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.random.default_rng(0).normal(size=(2, 16, 16, 3)), np.zeros((2, 5)), verbose=0)
    make_lively(model)
    return model


@pytest.mark.parametrize("ending", [".h5", ".keras", ".weights.h5"])
def test_keras_to_ours(flat: Any, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    flat.save_weights(path) if ending == ".weights.h5" else flat.save(path)
    truth = weights_of(flat, depthwise="kernel" if ending == ".h5" else "depthwise_kernel")
    found = read_all(path)
    assert equal(found, truth)
    changed = truth | {"stem_bn/beta": truth["stem_bn/gamma"]}
    assert not equal(found, changed)


@pytest.mark.parametrize("ending", [".h5", ".keras", ".weights.h5"])
def test_a_network_in_a_trained_model(nested: Any, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    nested.save_weights(path) if ending == ".weights.h5" else nested.save(path)
    truth = weights_of(nested, depthwise="kernel" if ending == ".h5" else "depthwise_kernel")
    inside = {
        name if name.startswith("predictions") else f"efficientnetb0/{name}": array for name, array in truth.items()
    }
    assert equal(read_all(path), inside)
    with open_reader(path) as reader:
        assert "a variable of the optimiser" in reader.skipped.values()
        assert len(reader.skipped) >= 2 * len(nested.trainable_variables)
        assert ("model_config" in reader.metadata) == (ending != ".weights.h5")
        assert ending == ".weights.h5" or "3.15" in str(dict(reader.metadata))


@pytest.mark.parametrize("name", ["x.h5", "x.weights.h5"])
def test_ours_to_keras(keras: Any, flat: Any, name: str, tmp_path: Path) -> None:
    weights = weights_of(flat, depthwise="depthwise_kernel")
    order = [layer.name for layer in flat.layers]
    ordered = dict(sorted(weights.items(), key=lambda item: order.index(item[0].partition("/")[0])))
    containers.write(output_format(Path(name)), tmp_path / name, ordered)
    other = build(keras)
    other.load_weights(tmp_path / name)
    assert equal(weights_of(other, depthwise="depthwise_kernel"), weights)


# Keras says so of every group that is missing, before it refuses.
@pytest.mark.filterwarnings("ignore:Skipping nested container at:UserWarning")
@pytest.mark.parametrize("name", ["x.h5", "x.weights.h5"])
def test_keras_would_see_a_slip(keras: Any, flat: Any, name: str, tmp_path: Path) -> None:
    """The control: a layer too few is refused by Keras, two norms changed for each other are seen."""
    weights = weights_of(flat, depthwise="depthwise_kernel")
    order = [layer.name for layer in flat.layers]
    ordered = dict(sorted(weights.items(), key=lambda item: order.index(item[0].partition("/")[0])))
    kind = output_format(Path(name))
    swapped = ordered | {"stem_bn/gamma": ordered["stem_bn/beta"], "stem_bn/beta": ordered["stem_bn/gamma"]}
    containers.write(kind, tmp_path / name, swapped)
    other = build(keras)
    other.load_weights(tmp_path / name)
    assert not equal(weights_of(other, depthwise="depthwise_kernel"), weights)
    (tmp_path / name).unlink()
    short = {key: array for key, array in ordered.items() if not key.startswith("stem_conv/")}
    containers.write(kind, tmp_path / name, short)
    with pytest.raises(ValueError, match=r"[Ll]ayer"):
        build(keras).load_weights(tmp_path / name)


def test_lists_in_pieces_as_keras_writes_them(tmp_path: Path) -> None:
    legacy = importlib.import_module("keras.src.legacy.saving.legacy_h5_format")
    names = [f"{'layer' * 20}{number:04}" for number in range(1000)]
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        legacy.save_attributes_to_hdf5_group(file, "layer_names", [name.encode() for name in names])
        assert "layer_names1" in file.attrs
        for name in names:
            group = file.create_group(name)
            legacy.save_attributes_to_hdf5_group(group, "weight_names", [f"{name}/bias".encode()])
            group[f"{name}/bias"] = np.ones(1, "f4")
    assert list(read_all(tmp_path / "theirs.h5")) == [f"{name}/bias" for name in names]
    arrays = {f"{name}/bias": np.ones(1, "f4") for name in names}
    containers.write("keras-h5", tmp_path / "ours.h5", arrays)
    with h5py.File(tmp_path / "ours.h5") as file:
        assert legacy.load_attributes_from_hdf5_group(file, "layer_names") == names


def test_bfloat16_there_and_back(keras: Any, tmp_path: Path) -> None:
    def dense() -> Any:
        image = keras.Input((3,))
        return keras.Model(image, keras.layers.Dense(4, dtype="bfloat16", name="d")(image))

    model = dense()
    make_lively(model)
    model.save_weights(tmp_path / "theirs.weights.h5")
    found = read_all(tmp_path / "theirs.weights.h5")
    truth = {variable.path: np.asarray(variable) for variable in model.weights}
    assert {array.dtype.name for array in truth.values()} == {"bfloat16"}
    assert equal(found, truth)
    containers.write("keras-weights", tmp_path / "ours.weights.h5", found)
    other = dense()
    other.load_weights(tmp_path / "ours.weights.h5")
    assert equal({variable.path: np.asarray(variable) for variable in other.weights}, truth)
