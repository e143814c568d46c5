"""Heads in `.weights.h5` of Keras, which has no configuration and lists layers without tensors: real models.

A head that is read gives the model's logits, or is left out with the layers named that no definition has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

from converters import SourceOptions, open_checkpoint
from effnet_core import Pooling
from tests.foreign.narrow_keras import BOUND, PIXELS, SIZE, backbone, distance, make_lively

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 calls numpy.array on its variables, whose __array__ has no `copy` argument.
    "ignore:__array__ implementation doesn't accept a copy keyword, so passing copy=False failed:DeprecationWarning"
)
layers = keras.layers
Head = Callable[[Any], Any]
AVERAGE, MAX = {"pooling": "avg"}, {"pooling": "max"}


def saved(head: Head, path: Path, *, flat: bool, options: dict[str, Any], front: Head | None = None) -> np.ndarray:
    """The logits of a model, whose weights are written."""
    body, image = backbone(**options), keras.Input((SIZE, SIZE, 3))
    if flat:
        model = keras.Model(body.input, head(body.output))
    else:
        model = keras.Model(image, head(body(image if front is None else front(image))))
    make_lively(model)
    model.save_weights(path)
    return model(PIXELS, training=False).numpy()  # augmentation acts unless told not to


def predictions(x: Any) -> Any:
    """By the name that the network's own classifier has."""
    return layers.Dense(5, name="predictions")(x)


def gated(x: Any) -> Any:
    return layers.Dense(5)(layers.Multiply()([x, layers.Dense(x.shape[-1], activation="sigmoid")(x)]))


def added(x: Any) -> Any:
    first = layers.Dense(8, activation="relu")(x)
    return layers.Dense(5)(layers.Add()([first, layers.Dense(8, activation="relu")(first)]))


def augmented(image: Any) -> Any:
    """What changes no image, or in training alone."""
    return layers.Resizing(SIZE, SIZE)(layers.RandomRotation(0.1)(layers.RandomFlip()(image)))


READ: list[tuple[str, Head, bool, dict[str, Any], Head | None]] = [
    ("max", lambda x: layers.Dense(5)(layers.GlobalMaxPooling2D()(x)), False, {}, augmented),
    ("max in a flat model", lambda x: layers.Dense(5)(layers.GlobalMaxPooling2D(name="a")(x)), True, {}, None),
    ("max of the network", lambda x: layers.Dense(5)(layers.Dropout(0.2)(x)), False, MAX, None),
    ("max, predictions", predictions, True, MAX, None),
    ("average", lambda x: layers.Dense(5)(layers.GaussianNoise(0.1)(x)), True, AVERAGE, None),
    ("hidden", lambda x: layers.Dense(5)(layers.ReLU()(layers.Dense(8)(x))), False, AVERAGE, augmented),
]
LEFT_OUT: list[tuple[str, Head, bool]] = [
    ("multiply", gated, False),
    ("multiply", gated, True),
    ("add", added, False),
    ("add", added, True),
    ("unit_normalization", lambda x: layers.UnitNormalization()(layers.Dense(5)(x)), False),
    ("leaky_re_lu", lambda x: layers.Dense(5)(layers.LeakyReLU()(layers.Dense(8)(x))), False),
    ("elu", lambda x: layers.Softmax()(layers.Dense(5)(layers.ELU()(layers.Dense(8)(x)))), True),
]


@pytest.mark.parametrize(("case", "head", "flat", "options", "front"), READ, ids=lambda one: str(one)[:20])
def test_the_pooling_that_is_listed_gives_the_logits(
    case: str, head: Head, flat: bool, options: dict[str, Any], front: Head | None, tmp_path: Path
) -> None:
    path = tmp_path / "m.weights.h5"
    logits = saved(head, path, flat=flat, options=options, front=front)
    assert distance(path, logits, "torch") < BOUND
    with open_checkpoint(path) as found:
        spec = found.spec
    assert spec.classifier is not None
    assert spec.classifier.pooling is (Pooling.MAX if case.startswith("max") else Pooling.AVERAGE)
    # The control: the other pooling gives other logits.
    other = Pooling.AVERAGE if spec.classifier.pooling is Pooling.MAX else Pooling.MAX
    wrong = replace(spec, classifier=replace(spec.classifier, pooling=other))
    assert distance(path, logits, "torch", SourceOptions(spec=wrong)) > 100 * BOUND


@pytest.mark.parametrize(("layer", "head", "flat"), LEFT_OUT, ids=lambda one: str(one)[:20])
def test_a_head_with_a_layer_that_no_definition_has_is_left_out(
    layer: str, head: Head, flat: bool, tmp_path: Path
) -> None:
    path = tmp_path / "m.weights.h5"
    saved(head, path, flat=flat, options=AVERAGE)
    with open_checkpoint(path) as found:
        assert found.spec.classifier is None
        [note] = [note for note in found.notes if "That is no small head behind it: the file lists" in note]
    assert layer in note


class Attributes(keras.Model):
    """A head whose layers are attributes, of which a file does not tell the class.

    Keras goes through attributes by name: one behind `layers` is a member of that list, with its class.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = backbone(pooling="avg")
        self.first, self.hidden, self.last = layers.Dense(8), layers.PReLU(name="slopes"), layers.Dense(5)

    def call(self, images: Any) -> Any:
        return self.last(self.hidden(self.first(self.body(images))))

    def get_config(self) -> dict[str, Any]:
        return {}


def functional() -> Any:
    body = backbone(pooling="avg")
    return keras.Model(body.input, layers.Dense(5)(layers.PReLU(name="slopes")(layers.Dense(8)(body.output))))


@pytest.mark.parametrize(("build", "tells"), [(functional, True), (Attributes, False)])
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_layer_with_variables_that_no_head_has_is_named_by_its_class(
    build: Any, tells: bool, suffix: str, tmp_path: Path
) -> None:
    model, path = build(), tmp_path / f"m{suffix}"
    model(PIXELS)
    (model.save if suffix == ".keras" else model.save_weights)(path)
    with open_checkpoint(path) as found:
        [note] = [note for note in found.notes if "slopes/vars/0 belongs to no dense layer" in note]
    assert ("but to slopes (class p_re_lu), which no head of a definition has" in note) is tells
    assert ("an attribute of a subclassed keras.Model" in note) is not tells
