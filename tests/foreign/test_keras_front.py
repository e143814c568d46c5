"""Keras models that change images in front of an EfficientNet of keras.applications, in the files that Keras writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

from converters import SourceOptions, open_checkpoint
from effnet_core import NetworkSpec
from tests.foreign.narrow_keras import BOUND, PIXELS, SIZE, backbone, distance, make_lively

layers = keras.layers
CONFIGURED = (".keras", ".h5")
NOT_USED, LISTED, SEVERAL = "they are not used", "which may change images", "Several layers normalise"


def v2(*, inside: bool = False) -> Any:
    from keras.src.applications.efficientnet_v2 import EfficientNetV2  # noqa: PLC0415 - needs Keras

    return EfficientNetV2(
        *(0.13, 0.1, SIZE),
        name="efficientnetv2-s",
        weights=None,
        include_top=False,
        input_shape=(SIZE, SIZE, 3),
        include_preprocessing=inside,
    )


def adapted(axis: int | None = -1) -> Any:
    layer = layers.Normalization(axis=axis)
    layer.adapt(PIXELS)
    return layer


def saved(path: Path, body: Any, *front: Any) -> np.ndarray:
    """The logits of a model, whose files are written."""
    head = [layers.GlobalAveragePooling2D(), layers.Dense(5)]
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), *front, body, *head])
    make_lively(model)
    for suffix in CONFIGURED:
        model.save(path / f"m{suffix}")
    model.save_weights(path / "m.weights.h5")
    tf.train.Checkpoint(model).write(str(path / "m"))
    return model(PIXELS).numpy()


def understood(path: Path, options: SourceOptions | None = None) -> tuple[NetworkSpec, str]:
    """The network, whose head has to be there, and the notes."""
    with open_checkpoint(path, options) as checkpoint:
        assert checkpoint.spec.classifier is not None
        assert checkpoint.spec.classifier.num_classes == 5
        assert "no part of the network" not in checkpoint.ignored.values()
        return checkpoint.spec, " ".join(checkpoint.notes)


@pytest.mark.parametrize("axis", [-1, None])
def test_numbers_of_the_only_layer_that_normalises_are_used(axis: int | None, tmp_path: Path) -> None:
    logits = saved(tmp_path, v2(), adapted(axis))
    for suffix in (*CONFIGURED, ".weights.h5"):
        assert distance(tmp_path / f"m{suffix}", logits, "torch") < BOUND
    spec, notes = understood(tmp_path / "m.weights.h5")
    assert "a layer of the model around the network" in notes
    assert "The model in the file does so itself" in notes
    # A checkpoint does not list the layers without numbers; this is the control too.
    assert NOT_USED in understood(tmp_path / "m.index")[1]
    assert distance(tmp_path / "m.index", logits, "torch") > 100 * BOUND
    assert distance(tmp_path / "m.index", logits, "torch", SourceOptions(spec=spec)) < BOUND
    assert NOT_USED not in understood(tmp_path / "m.index", SourceOptions(spec=spec))[1]


def test_they_are_not_where_other_layers_are_listed(tmp_path: Path) -> None:
    for name, front, inside, expected in [
        ("own", [adapted()], True, (NOT_USED,)),
        ("more", [layers.Rescaling(2.0, name="twice"), adapted()], False, (NOT_USED, "The file lists twice, which")),
        ("lambda", [layers.Lambda(lambda x: x), adapted()], False, (NOT_USED, LISTED)),
    ]:
        (tmp_path / name).mkdir()
        saved(tmp_path / name, v2(inside=inside), *front)
        _, notes = understood(tmp_path / name / "m.weights.h5")
        for one in expected:
            assert one in notes, name
        assert NOT_USED not in understood(tmp_path / name / "m.keras")[1]


def test_a_layer_in_front_of_a_network_that_normalises_itself(tmp_path: Path) -> None:
    logits = saved(tmp_path, backbone(), adapted())
    for suffix in CONFIGURED:
        assert distance(tmp_path / f"m{suffix}", logits, "torch") < BOUND
        assert SEVERAL not in understood(tmp_path / f"m{suffix}")[1]
    for name in ("m.weights.h5", "m.index"):
        spec, notes = understood(tmp_path / name)
        assert SEVERAL in notes
        assert spec.preprocessing.recipe != "stored-normalisation"
        assert SEVERAL not in understood(tmp_path / name, SourceOptions(recipe="advprop"))[1]


@pytest.mark.parametrize("name", [None, "to_unit"])
@pytest.mark.parametrize("body", [backbone, v2])
def test_layers_that_are_listed_without_numbers_are_named(body: Any, name: str | None, tmp_path: Path) -> None:
    front = layers.Rescaling(1 / 127.5, offset=-1, **({} if name is None else {"name": name}))
    logits = saved(tmp_path, body(), front)
    assert distance(tmp_path / "m.keras", logits, "torch") < BOUND
    assert f"The file lists {front.name}, {LISTED}, without numbers." in understood(tmp_path / "m.weights.h5")[1]
    assert LISTED not in understood(tmp_path / "m.keras")[1]
    assert LISTED not in understood(tmp_path / "m.weights.h5", SourceOptions(recipe="advprop"))[1]
    saved(tmp_path, body())  # the control: nothing in front
    assert LISTED not in understood(tmp_path / "m.weights.h5")[1]


@pytest.mark.parametrize("body", [backbone, v2])
def test_a_negative_factor_in_front_is_left_out(body: Any, tmp_path: Path) -> None:
    front = layers.Rescaling(-1.0, offset=255.0)
    logits = saved(tmp_path, body(), front)
    expected = f"In front of the network the model has Rescaling {front.name}, which is left out"
    behind = keras.models.load_model(tmp_path / "m.keras", compile=False)(255 - PIXELS).numpy()
    for suffix in CONFIGURED:
        spec, notes = understood(tmp_path / f"m{suffix}")
        assert expected in notes
        assert "could not be followed" not in notes
        if body is v2:  # which is given pixels
            pixels = replace(spec.preprocessing, mean=(0.0,) * 3, scale=(1.0,) * 3)
            options = SourceOptions(spec=replace(spec, preprocessing=pixels))
        else:
            options = None
        assert distance(tmp_path / f"m{suffix}", behind, "torch", options) < BOUND
        assert distance(tmp_path / f"m{suffix}", logits, "torch", options) > 100 * BOUND


def test_two_negative_factors_are_followed(tmp_path: Path) -> None:
    logits = saved(tmp_path, backbone(), *(layers.Rescaling(-1.0, offset=255.0) for _ in range(2)))
    assert distance(tmp_path / "m.keras", logits, "torch") < BOUND
    assert "In front of the network" not in understood(tmp_path / "m.keras")[1]


@pytest.mark.parametrize("body", [backbone, v2])
@pytest.mark.parametrize("suffix", CONFIGURED)
def test_a_layer_that_holds_the_network_is_named(body: Any, suffix: str, tmp_path: Path) -> None:
    frames = keras.Input((2, SIZE, SIZE, 3))
    features = layers.TimeDistributed(body(), name="each_frame")(frames)
    model = keras.Model(frames, layers.Dense(5)(layers.GlobalAveragePooling3D()(features)))
    model.save(tmp_path / f"m{suffix}")
    told = "the network stands inside TimeDistributed each_frame, which is not followed"
    assert told in understood(tmp_path / f"m{suffix}")[1]
    saved(tmp_path, body())
    assert "stands inside" not in understood(tmp_path / f"m{suffix}")[1]


def nested(x: Any) -> Any:
    inner = keras.Input((SIZE, SIZE, 3))
    scaled = keras.Model(inner, inner / 127.5, name="scaled")
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), scaled, layers.Rescaling(1.0, offset=-1.0)])(x)


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "divided": lambda x: x / 255.0,
    "shifted and divided": lambda x: (x - 127.5) / 127.5,
    "multiplied": lambda x: x * (1 / 255),
    "numbers first": lambda x: 0.02 * (-99.0 + x),
    "mirrored twice": lambda x: (255.0 - (127.5 - x)) / 127.5 - 1,
    "of channels": lambda x: (x - np.array([123.0, 116.0, 103.0], np.float32)) / tf.constant([58.0, 57.0, 56.0]),
    "functions": lambda x: keras.ops.divide(keras.ops.subtract(keras.ops.add(x, 2), 130), 64),
    "cast": lambda x: keras.ops.cast(x, "float32") / 255.0,
    "in models": nested,
}


def of_operation(path: Path, body: Any, operation: Any) -> Any:
    """A lively model with an operation in front, and whose files are written."""
    image = keras.Input((SIZE, SIZE, 3))
    pooled = layers.GlobalAveragePooling2D()(body(operation(image)))
    model = keras.Model(image, layers.Dense(5)(pooled))
    make_lively(model)
    for suffix in CONFIGURED:
        model.save(path / f"m{suffix}")
    return model


@pytest.mark.parametrize(("name", "body"), [*((name, v2) for name in OPERATIONS), ("shifted and divided", backbone)])
def test_arithmetic_in_front_is_followed(name: str, body: Any, tmp_path: Path) -> None:
    logits = of_operation(tmp_path, body(), OPERATIONS[name])(PIXELS).numpy()
    for suffix in CONFIGURED:
        assert distance(tmp_path / f"m{suffix}", logits, "torch") < BOUND
        assert "In front of the network" not in understood(tmp_path / f"m{suffix}")[1]


def test_a_model_that_multiplies_by_255_is_given_fractions(tmp_path: Path) -> None:
    model = of_operation(tmp_path, backbone(), lambda x: keras.ops.cast(x, "float32") * 255)
    assert distance(tmp_path / "m.keras", model(PIXELS / 255).numpy(), "torch") < BOUND
    assert "the model is given images as pixel / 255" in understood(tmp_path / "m.keras")[1]


LEFT_OUT: dict[str, tuple[Callable[[Any], Any], str]] = {
    "two tensors": (lambda x: x + x, "Add"),
    "a tensor divided by": (lambda x: 255.0 / (x + 1.0), "TrueDivide"),
    "numbers of pixels": (lambda x: x + np.full((1, SIZE, SIZE, 1), 2.0, np.float32), "Add"),
    "rounded": (lambda x: keras.ops.cast(x, "uint8"), "Cast"),
    "in eight bits": (lambda x: keras.ops.cast(keras.ops.cast(x, "uint8") + 200, "float32"), "Cast"),
    "another function": (lambda x: x // 2, "FloorDivide"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_other_operations_are_left_out(name: str, tmp_path: Path) -> None:
    operation, kind = LEFT_OUT[name]
    logits = of_operation(tmp_path, backbone(), operation)(PIXELS).numpy()
    for suffix in CONFIGURED:
        said = understood(tmp_path / f"m{suffix}")[1]
        assert "In front of the network the model has" in said
        assert kind in said.partition("In front of the network the model has")[2].partition("left out")[0]
        assert distance(tmp_path / f"m{suffix}", logits, "torch") > 100 * BOUND
