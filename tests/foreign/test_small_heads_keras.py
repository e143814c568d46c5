"""Keras models with a small head behind an EfficientNet of keras.applications: every file gives their logits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

import effnet
from converters import SourceOptions, convert, digest, open_checkpoint
from effnet_core import Activation, HiddenActivation, HiddenDense, HiddenNorm, NetworkSpec, Pooling
from tests.foreign.narrow_keras import BOUND, PIXELS, SIZE, backbone, distance, make_lively

layers = keras.layers
WITH_CONFIGURATION = (".keras", ".h5")
WITHOUT = (".weights.h5", "", ".index")
"""Files of weights, a SavedModel, a TensorFlow checkpoint."""


def nested() -> Any:
    """The network inside another model; the head normalises behind the activation."""
    body, image = backbone(), keras.Input((SIZE, SIZE, 3))
    x = layers.Dropout(0.3)(layers.GlobalMaxPooling2D()(body(image)))
    x = layers.BatchNormalization(epsilon=0.05)(layers.Dense(12, activation="relu")(x))
    return keras.Model(image, layers.Dense(5, name="out")(x))


def flat() -> Any:
    """The head appended to the network's own layers; it normalises before the activation."""
    body = backbone()
    x = layers.Dense(12)(layers.GlobalAveragePooling2D()(body.output))
    x = layers.Dropout(0.2)(layers.Activation("tanh")(layers.BatchNormalization()(x)))
    return keras.Model(body.input, layers.Dense(5, name="out")(x))


@pytest.fixture(scope="module", params=[nested, flat])
def saved(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Where the files of a model are, without suffix, and its logits."""
    model, path = request.param(), tmp_path_factory.mktemp("keras") / request.param.__name__
    make_lively(model)
    for suffix in WITH_CONFIGURATION:
        model.save(f"{path}{suffix}")
    model.save_weights(f"{path}.weights.h5")
    model.export(str(path), verbose=False)
    tf.train.Checkpoint(model).write(str(path / "ck"))
    return path, model(PIXELS).numpy()


def file_of(path: Path, suffix: str) -> Path:
    return path / "ck.index" if suffix == ".index" else Path(f"{path}{suffix}")


def corrected(spec: NetworkSpec, name: str) -> NetworkSpec:
    """What was assumed without a configuration, made what the model is."""
    classifier = spec.classifier
    assert classifier is not None
    dense, norm = classifier.hidden
    assert isinstance(dense, HiddenDense)
    assert isinstance(norm, HiddenNorm)
    if name == "nested":
        changed = replace(classifier, pooling=Pooling.MAX, hidden=(dense, replace(norm, epsilon=0.05)))
    else:
        hidden = (replace(dense, activation=None), norm, HiddenActivation(activation=Activation.TANH))
        changed = replace(classifier, hidden=hidden)
    return replace(spec, classifier=changed)


@pytest.mark.parametrize("suffix", WITH_CONFIGURATION)
def test_with_its_configuration_a_file_gives_the_logits(saved: Any, suffix: str, tmp_path: Path) -> None:
    path, logits = saved
    convert(file_of(path, suffix), tmp_path / "a.safetensors", sync=False)
    backend = "tf" if suffix == ".h5" else "torch"
    assert distance(tmp_path / "a.safetensors", logits, backend) < BOUND
    with open_checkpoint(tmp_path / "a.safetensors") as one, open_checkpoint(file_of(path, suffix)) as other:
        assert digest(one) == digest(other)


@pytest.mark.parametrize("suffix", WITHOUT)
def test_without_it_the_definition_has_to_be_given(saved: Any, suffix: str) -> None:
    path, logits = saved
    source = file_of(path, suffix)
    with open_checkpoint(source) as found:
        notes, spec = " ".join(found.notes), found.spec
    listed = Pooling.MAX if path.name == "nested" else Pooling.AVERAGE
    told = f"By the layers that the file lists there is {listed} pooling" if suffix == ".weights.h5" else None
    assert told in notes if told is not None else "assumed average pooling" in notes
    assert spec.classifier is not None
    assert spec.classifier.pooling is (listed if told is not None else Pooling.AVERAGE)
    assert distance(source, logits, "torch") > 100 * BOUND
    assert distance(source, logits, "torch", SourceOptions(spec=corrected(spec, path.name))) < BOUND


def gray() -> Any:
    """A channel repeated: no layer in front has tensors, and none that arithmetic could follow."""
    image = keras.Input((SIZE, SIZE, 1))
    return image, layers.Concatenate(name="gray")([image, image, image])


def to_rgb() -> Any:
    image = keras.Input((SIZE, SIZE, 1))
    return image, layers.Conv2D(3, 1, name="to_rgb")(image)


@pytest.mark.parametrize("suffix", WITH_CONFIGURATION)
@pytest.mark.parametrize("front", [gray, to_rgb])
def test_layers_in_front_are_left_out_and_the_rest_is_the_model(front: Any, suffix: str, tmp_path: Path) -> None:
    """What the front gives, normalised as the inner network says, gives the model's logits."""
    body, (image, colours) = backbone(), front()
    # The numbers of published files, which where nothing lists layers are taken for a network that divides twice.
    inner = next(layer for layer in body.layers if layer.name.startswith("normalization"))
    inner.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), np.array(0)])
    inner.finalize_state()
    pooled = layers.GlobalAveragePooling2D()(body(colours))
    model = keras.Model(image, layers.Dense(5, name="out")(pooled))
    make_lively(model)
    model.save(tmp_path / f"m{suffix}")
    tf.train.Checkpoint(model).write(str(tmp_path / "m"))
    gives, logits = keras.Model(image, colours)(PIXELS[..., :1]).numpy(), model(PIXELS[..., :1]).numpy()

    def found(name: str) -> np.ndarray:
        network = effnet.load_model(tmp_path / name, backend="torch")
        prepared = network.spec.preprocessing
        x = (gives - np.float32(prepared.mean)) / np.float32(prepared.scale)
        with torch.no_grad():
            return network(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy()  # (N, H, W, C) -> (N, C, H, W)

    with open_checkpoint(tmp_path / f"m{suffix}") as checkpoint:
        expected = f"which is left out: images have to be what {front.__name__} gives"
        assert any(expected in note for note in checkpoint.notes)
        behind = [name for name, reason in checkpoint.ignored.items() if reason == "no part of the network"]
        assert behind == []
    size = np.abs(logits).max()
    assert np.abs(found(f"m{suffix}") - logits).max() < BOUND * size
    if front is gray:  # the control: the guess that is made without a configuration
        assert np.abs(found("m.index") - logits).max() > 100 * BOUND * size
