"""Models of a user's own class: layers that are attributes of it, which TensorFlow's files call by the model alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

from converters import SourceOptions, open_checkpoint
from tests.foreign.narrow_keras import BOUND, PIXELS, backbone, distance, make_lively

layers = keras.layers
WAYS = ("checkpoint", "export", "saved_model")


class Flowers(keras.Model):
    def __init__(self, *head: Any) -> None:
        super().__init__()
        self.base, self.pool = backbone(), layers.GlobalAveragePooling2D()
        # The order of the names is another one: between, classes, hidden.
        self.hidden, self.between, self.classes = head

    def call(self, x: Any, training: bool = False) -> Any:
        x = self.between(self.hidden(self.pool(self.base(x, training=training))), training=training)
        return self.classes(x)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """The files of a model with an attribute for each layer, and its logits."""
    folder, head = tmp_path_factory.mktemp("own"), layers.Dense(12, activation="relu")
    return folder, written(Flowers(head, layers.BatchNormalization(), layers.Dense(5)), folder)


def written(model: Any, folder: Path) -> np.ndarray:
    model(PIXELS)
    make_lively(model)
    tf.train.Checkpoint(model=model).write(str(folder / "checkpoint"))
    model.export(str(folder / "export"), verbose=False)
    tf.saved_model.save(model, str(folder / "saved_model"))
    return model(PIXELS).numpy()


@pytest.mark.parametrize("way", WAYS)
def test_a_head_of_attributes_gives_the_logits(saved: tuple[Path, np.ndarray], way: str) -> None:
    folder, logits = saved
    assert distance(folder / way, logits, "torch") < BOUND
    # The control: an activation that the model does not have.
    assert distance(folder / way, logits, "torch", SourceOptions(head_activation="tanh")) > 100 * BOUND
    with open_checkpoint(folder / way) as found:
        assert not [reason for reason in found.ignored.values() if reason == "no part of the network"]
        notes = " ".join(found.notes)
    assert "8 tensors by the model alone" in notes
    assert ("The number is the place" in notes) == (way == "export")


class Otherwise(Flowers):
    """Its layers follow each other in another order than that in which they were made."""

    def call(self, x: Any, training: bool = False) -> Any:
        x = self.hidden(self.between(self.pool(self.base(x, training=training)), training=training))
        return self.classes(x)


@pytest.mark.parametrize("kind", [Flowers, Otherwise])
def test_an_order_that_widths_do_not_tell_is_said_to_be_a_guess(kind: Any, tmp_path: Path) -> None:
    logits = written(kind(layers.Dense(168), layers.Dense(168), layers.Dense(5)), tmp_path)
    for way in WAYS:
        with open_checkpoint(tmp_path / way) as found:
            assert any("their layer" in note and note.endswith("a guess.") for note in found.notes)
        away = distance(tmp_path / way, logits, "torch", SourceOptions(head_activation="none"))
        assert away < BOUND if kind is Flowers else away > 100 * BOUND
