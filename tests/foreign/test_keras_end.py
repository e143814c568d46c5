"""Models of Keras that were cut elsewhere than at the end of their network, or go on behind its features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

from converters import SourceOptions, UnknownArchitecture, open_checkpoint
from effnet_core import CheckpointMismatch, Pooling, resolve, without_classifier
from tests.foreign.narrow_keras import BOUND, PIXELS, SIZE, backbone, distance, make_lively

FILES = pytest.mark.parametrize("suffix", [".keras", ".h5"])
OPTIONS = (None, SourceOptions(arch="b0", width=0.13, depth=0.5), SourceOptions(dialect="keras-applications"))


def cut(name: str) -> Any:
    model = backbone()
    make_lively(model)
    return keras.Model(model.input, model.get_layer(name).output, name="cut")


@FILES
@pytest.mark.parametrize("is_inside", [False, True])
def test_a_model_cut_before_its_last_activation_is_refused(is_inside: bool, suffix: str, tmp_path: Path) -> None:
    path, image = tmp_path / f"cut{suffix}", keras.Input((SIZE, SIZE, 3))
    model = cut("top_bn")
    (keras.Model(image, model(image)) if is_inside else model).save(path)
    for options in OPTIONS:
        with pytest.raises(UnknownArchitecture, match=r"ends at BatchNormalization .*top_bn; expected the activation"):
            open_checkpoint(path, options)
    spec = without_classifier(resolve("b0", width=0.13, depth=0.5))
    open_checkpoint(path, SourceOptions(spec=spec)).reader.close()
    # Control: with its activation it is read, and gives the same.
    model = cut("top_activation")
    (keras.Model(image, model(image)) if is_inside else model).save(path)
    features = model(PIXELS).numpy().mean(axis=(1, 2))
    for options in OPTIONS:
        open_checkpoint(path, options).reader.close()
    assert distance(path, features, "torch", pooling=Pooling.AVERAGE) < BOUND


def test_a_head_behind_a_network_without_its_last_activation_is_refused(tmp_path: Path) -> None:
    path, image = tmp_path / "head.keras", keras.Input((SIZE, SIZE, 3))
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, name="out")]

    def behind(*layers: Any) -> np.ndarray:
        value = cut("top_bn")(image)
        for layer in layers:
            value = layer(value)
        model = keras.Model(image, value)
        model.save(path)
        return model(PIXELS).numpy()

    behind(*head)
    with pytest.raises(UnknownArchitecture, match="the activation linear behind top_bn"):
        open_checkpoint(path)
    logits = behind(keras.layers.Activation("swish"), *head)
    assert distance(path, logits, "torch") < BOUND


def test_a_model_cut_at_a_convolution_is_refused_by_name(tmp_path: Path) -> None:
    cut("top_conv").save(tmp_path / "cut.keras")
    with pytest.raises(CheckpointMismatch, match="By its configuration the model ends at Conv2D top_conv"):
        open_checkpoint(tmp_path / "cut.keras")


def test_normalised_features_are_named(tmp_path: Path) -> None:
    model = backbone(pooling="avg")
    path = tmp_path / "embedding.keras"
    keras.Model(model.input, keras.layers.UnitNormalization(name="unit")(model.output)).save(path)
    with open_checkpoint(path) as checkpoint:
        assert any("the model has UnitNormalization unit, which is left out" in note for note in checkpoint.notes)
    model.save(path)
    with open_checkpoint(path) as checkpoint:
        assert not any("left out" in note for note in checkpoint.notes)


def test_the_residual_of_the_last_block_is_no_second_way(tmp_path: Path) -> None:
    model = keras.applications.EfficientNetB0(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3))
    path, end = tmp_path / "cut.keras", model.get_layer("block6d_add").output
    told = "several ways to its output"
    keras.Model(model.input, end).save(path)
    with open_checkpoint(path) as checkpoint:
        assert len(checkpoint.spec.blocks) == 15
        assert not any(told in note for note in checkpoint.notes)
    keras.Model(model.input, [end, keras.layers.GlobalMaxPooling2D()(end)]).save(path)
    with open_checkpoint(path) as checkpoint:
        assert any(told in note for note in checkpoint.notes)
