"""Networks of keras.applications V1 that hold the published numbers, loaded by path and with `weights="imagenet"`.

The published files have standard deviations in the place of variances. With `weights="imagenet"` the network divides
once more by their roots; with the path of the same file it does not. Files are to give the logits of either.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

from converters import SourceOptions, open_checkpoint
from tests.foreign.narrow_keras import BOUND, PIXELS, SIZE, backbone, distance, make_lively

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 calls numpy.array on its variables, whose __array__ has no `copy` argument.
    "ignore:__array__ implementation doesn't accept a copy keyword, so passing copy=False failed:DeprecationWarning"
)
layers = keras.layers
DEVIATION = np.array([0.229, 0.224, 0.225])
WAYS = ("path", "imagenet")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    body, path = backbone(), tmp_path_factory.mktemp("published") / "published.weights.h5"
    make_lively(body)
    inner = next(layer for layer in body.layers if layer.name.startswith("normalization"))
    inner.set_weights([np.array([0.485, 0.456, 0.406]), DEVIATION, np.array(0)])
    body.save_weights(path)
    return path


@pytest.fixture
def network(published: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the network either way."""
    from keras.src.applications import efficientnet  # noqa: PLC0415 - needs Keras

    monkeypatch.setattr(efficientnet.file_utils, "get_file", lambda *_, **__: str(published))
    return lambda way: backbone(weights="imagenet" if way == "imagenet" else str(published))


def logits_of(model: Any) -> np.ndarray:
    """With a last layer that is lively; the network has the numbers of its file."""
    random = np.random.default_rng(0)
    model.layers[-1].set_weights([random.normal(0, 0.1, one.shape) for one in model.layers[-1].get_weights()])
    return model(PIXELS).numpy()


def nested(body: Any, *front: Any) -> Any:
    head = [layers.GlobalAveragePooling2D(), layers.Dense(5)]
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), *front, body, *head])


def flat(body: Any) -> Any:
    return keras.Model(body.input, layers.Dense(5)(layers.GlobalAveragePooling2D()(body.output)))


class Subclassed(keras.Model):
    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body, self.pool, self.last = body, layers.GlobalAveragePooling2D(), layers.Dense(5)

    def call(self, images: Any) -> Any:
        return self.last(self.pool(self.body(images)))

    def get_config(self) -> dict[str, Any]:
        return {}


def notes(path: Path) -> str:
    with open_checkpoint(path) as found:
        return " ".join(found.notes)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("around", "suffixes"), [(nested, [".weights.h5"]), (Subclassed, [".weights.h5", ".keras"])])
def test_the_layers_that_a_file_lists_tell_how_often_it_divides(
    around: Any, suffixes: list[str], way: str, network: Any, tmp_path: Path
) -> None:
    model = around(network(way))
    model(PIXELS)
    logits = logits_of(model)
    for suffix in suffixes:
        path = tmp_path / f"m{suffix}"
        (model.save_weights if suffix == ".weights.h5" else model.save)(path)
        assert distance(path, logits, "torch") < BOUND
        assert ("roots once" in notes(path), "twice, as the layers" in notes(path)) == (way == "path", way != "path")
        # The control: the other reading, which is what a recipe says where a file was loaded by path.
        assert (distance(path, logits, "torch", SourceOptions(recipe="autoaugment")) > 100 * BOUND) is (way == "path")


@pytest.mark.parametrize("way", WAYS)
def test_a_flat_model_tells_it_where_one_layer_rescales(way: str, network: Any, tmp_path: Path) -> None:
    model = flat(network(way))
    logits = logits_of(model)
    model.save_weights(tmp_path / "m.weights.h5")
    assert distance(tmp_path / "m.weights.h5", logits, "torch") < BOUND
    assert ("do not tell which" in notes(tmp_path / "m.weights.h5")) is (way == "imagenet")


def test_a_layer_of_the_user_s_own_in_front_is_not_the_network_s(network: Any, tmp_path: Path) -> None:
    model = nested(network("path"), layers.Rescaling(1.0))
    logits = logits_of(model)
    model.save_weights(tmp_path / "m.weights.h5")
    assert distance(tmp_path / "m.weights.h5", logits, "torch") < BOUND
    assert "roots once" in notes(tmp_path / "m.weights.h5")


@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint_of_tensorflow_does_not_tell_and_a_definition_does(way: str, network: Any, tmp_path: Path) -> None:
    """The numbers of the note, in the definition of the file, give the logits of a network that divides once."""
    model = nested(network(way))
    logits = logits_of(model)
    tf.train.Checkpoint(model).write(str(tmp_path / "m"))
    with open_checkpoint(tmp_path / "m.index") as found:
        spec, said = found.spec, " ".join(found.notes)
    assert "--recipe" not in said
    [scale] = [
        part.partition(")")[0] for part in said.split("the network takes ")[1:2] for part in part.split("/ (")[1:]
    ]
    numbers = tuple(map(float, scale.split(",")))
    np.testing.assert_allclose(numbers, 255 * np.sqrt(DEVIATION), rtol=1e-5)
    corrected = replace(spec, preprocessing=replace(spec.preprocessing, scale=numbers))
    plain = distance(tmp_path / "m.index", logits, "torch")
    given = distance(tmp_path / "m.index", logits, "torch", SourceOptions(spec=corrected))
    right, wrong = (plain, given) if way == "imagenet" else (given, plain)
    assert right < 2 * BOUND  # the note has six digits
    assert wrong > 100 * BOUND
