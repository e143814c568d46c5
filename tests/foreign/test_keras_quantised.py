"""Models that Keras quantised are refused; before, they were read as features without a word on the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

from converters import SourceOptions, UnsupportedFile, open_checkpoint
from tests.foreign.narrow_keras import SIZE, backbone, make_lively

pytestmark = pytest.mark.filterwarnings(
    # model.quantize warns of every layer that has nothing to quantise, such as a norm, and passes over it.
    "ignore:Layer .* does not have a `quantize` method implemented:UserWarning",
)


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_quantised_models_are_refused(mode: str, tmp_path: Path) -> None:
    network = backbone(pooling="avg")
    make_lively(network)
    image = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(image, keras.layers.Dense(3, name="out")(network(image)))
    paths = [tmp_path / name for name in ("a.keras", "a.h5", "a.weights.h5")]

    def save() -> None:
        for path in paths:
            (model.save_weights if path.name.endswith("weights.h5") else model.save)(path)

    save()
    for path in paths:
        with open_checkpoint(path) as checkpoint:
            assert checkpoint.spec.classifier is not None
    model.quantize(mode)
    save()
    for path in paths:
        said = "integers or scales" if path.name.endswith("weights.h5") else mode
        for options in (None, SourceOptions(dialect="keras-applications", num_classes=3)):
            with pytest.raises(UnsupportedFile, match=rf"quantised Keras model \({said}.*: .*out"):
                open_checkpoint(path, options)
