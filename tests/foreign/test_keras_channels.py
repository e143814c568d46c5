"""keras.applications with 1 and 4 input channels: files both ways, and the logits with the stored normalisation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.applications.efficientnet import EfficientNet
from numpy.typing import NDArray

import effnet
from converters import Adaptation, OutputError, SourceOptions, save_state
from effnet.backends import Network, runner
from effnet.choices import Backend, Device, Precision
from effnet_core import InvalidSpec, NetworkSpec, resolve
from tests.converters.memory import equal
from tests.foreign.judge import DEPTH, WIDTH
from tests.lively import lively_state

pytestmark = pytest.mark.filterwarnings(
    "ignore:This model usually expects 1 or 3 input channels:UserWarning",
)
SIZE = (67, 49)
NUMBERS = {1: ((11.0,), (60.0,)), 4: ((11.0, 120.0, 40.0, 90.0), (60.0, 20.0, 200.0, 90.0))}


def network_of(channels: int) -> NetworkSpec:
    spec = resolve("b0", width=WIDTH, depth=DEPTH, num_classes=5, in_channels=channels)
    mean, scale = NUMBERS[channels]
    return replace(spec, preprocessing=replace(spec.preprocessing, mean=mean, scale=scale))


def keras_model(channels: int) -> keras.Model:
    keras.backend.clear_session()  # whose layers of one program are numbered
    options = {"weights": None, "classes": 5, "classifier_activation": None, "input_shape": (*SIZE, channels)}
    return EfficientNet(WIDTH, DEPTH, 224, name="efficientnetb0", **options)


def computed(network: Network, pixels: NDArray[Any]) -> NDArray[Any]:
    rule = network.spec.preprocessing
    images = (pixels - np.array(rule.mean)) / np.array(rule.scale)
    options = {"backend": Backend.TORCH, "precision": Precision.FLOAT32, "device": Device.CPU}
    with runner(network, endpoints=["logits"], **options) as run:
        return run(images.astype(np.float32))["logits"]


def differ(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    return bool(np.abs(ours - theirs).max() > 1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("channels", NUMBERS)
def test_both_ways(channels: int, tmp_path: Path) -> None:
    spec, state = network_of(channels), lively_state(network_of(channels))
    save_state(tmp_path / "ours.weights.h5", spec, state, to="keras-applications", sync=False)
    model = keras_model(channels)
    model.load_weights(tmp_path / "ours.weights.h5")
    pixels = np.random.default_rng(0).uniform(0, 255, (2, *SIZE, channels))
    theirs = keras.ops.convert_to_numpy(model(pixels.astype(np.float32), training=False))
    assert not differ(computed(Network(spec=spec, state=state, name="ours"), pixels), theirs)

    model.save(tmp_path / "theirs.keras")
    model.save_weights(tmp_path / "theirs.weights.h5")
    for name in ("theirs.keras", "theirs.weights.h5"):
        back = effnet.load_network(tmp_path / name, options=SourceOptions(dialect="keras-applications"))
        assert back.spec.stem.in_channels == channels
        assert equal(dict(back.state), state)
        assert not differ(computed(back, pixels), theirs)
        for field in ("mean", "scale"):  # control: the numbers of other channels, or another number
            moved = tuple(number + 50 for number in getattr(back.spec.preprocessing, field))
            wrong = replace(back.spec, preprocessing=replace(back.spec.preprocessing, **{field: moved}))
            assert differ(computed(replace(back, spec=wrong), pixels), theirs)
        assert back.spec.preprocessing.mean == pytest.approx(spec.preprocessing.mean)
        assert back.spec.preprocessing.scale == pytest.approx(spec.preprocessing.scale)


def test_a_stem_made_for_one_channel(tmp_path: Path) -> None:
    """Three equal numbers become one; three that differ are refused with a way out, which works."""
    spec = resolve("b0", width=WIDTH, depth=DEPTH, num_classes=5, recipe="advprop")
    other = resolve("b0", width=WIDTH, depth=DEPTH, num_classes=5)
    save_state(tmp_path / "equal.safetensors", spec, lively_state(spec), sync=False)
    save_state(tmp_path / "other.safetensors", other, lively_state(spec), sync=False)
    grey = Adaptation(in_channels=1)
    effnet.convert(
        tmp_path / "equal.safetensors", tmp_path / "a.h5", adaptation=grey, to="keras-applications", sync=False
    )
    with pytest.raises(OutputError, match=r"each channel, here 1; these weights expect .*--recipe advprop"):
        effnet.convert(
            tmp_path / "other.safetensors", tmp_path / "b.h5", adaptation=grey, to="keras-applications", sync=False
        )
    assert not (tmp_path / "b.h5").exists()
    options = SourceOptions(recipe="advprop")
    effnet.convert(
        tmp_path / "other.safetensors",
        tmp_path / "b.h5",
        options=options,
        adaptation=grey,
        to="keras-applications",
        sync=False,
    )
    for name in ("a.h5", "b.h5"):
        model = keras_model(1)
        model.load_weights(tmp_path / name)
        normalisation = model.get_layer("normalization")
        assert keras.ops.convert_to_numpy(normalisation.mean).reshape(-1) == pytest.approx([0.5])
        assert keras.ops.convert_to_numpy(normalisation.variance).reshape(-1) == pytest.approx([0.25])


def test_a_number_of_channels_that_fits_neither_is_no_definition() -> None:
    spec = network_of(4)
    with pytest.raises(InvalidSpec, match="2 means and 4 scales"):
        replace(spec, preprocessing=replace(spec.preprocessing, mean=(1.0, 2.0)))
