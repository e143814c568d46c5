"""`assert_parity` on networks that are not ours: MobileNetV2 of keras.applications, of torchvision and of timm.

Keras runs here in TensorFlow, the others in their own environment. keras.applications pads as TensorFlow does, with an
epsilon of 1e-3. torchvision pads symmetrically, which is the same where every grid of the network is odd, at sides of
32 k + 1 alone, and takes the epsilon as an argument; timm takes both as arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Keras is not installed")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from effnet.testing import Elsewhere, ParityError, assert_parity
from tests.foreign.judge import ENVIRONMENT

pytestmark = [
    pytest.mark.skipif(
        "tests.without_foreign" in sys.modules or not (ENVIRONMENT / "effnet-ready").is_file(),
        reason=f"{ENVIRONMENT.name} with torchvision and timm is not there: ./tools/test makes it",
    ),
]
WIDTH, CLASSES, EPSILON = 0.35, 7, 1e-3
ODD, EVEN = (33, 65), (48, 64)
BLOCKS = range(1, 17)
TIMM_STAGES = (1, 2, 3, 4, 3, 3, 1)
"""Blocks of each stage; the first has no expansion."""
FILE = f"{Path(__file__).with_name('mobilenets.py')}"


def torchvision_names(layers: set[str]) -> dict[str, str]:
    """Keras layer -> torchvision module."""
    names = {"Conv1": "features.0.0", "bn_Conv1": "features.0.1", "Conv1_relu": "features.0.2"}
    for block in (0, *BLOCKS):
        keras_block, module = (f"block_{block}", f"features.{block + 1}") if block else ("expanded_conv", "features.1")
        parts = ["expand"] * (block > 0) + ["depthwise"]
        for index, part in enumerate(parts):
            for leaf, suffix in enumerate(("", "_BN", "_relu")):
                names[f"{keras_block}_{part}{suffix}"] = f"{module}.conv.{index}.{leaf}"
        names[f"{keras_block}_project"] = f"{module}.conv.{len(parts)}"
        names[f"{keras_block}_project_BN"] = f"{module}.conv.{len(parts) + 1}"
        if f"{keras_block}_add" in layers:
            names[f"{keras_block}_add"] = module
    names |= {"Conv_1": "features.18.0", "Conv_1_bn": "features.18.1", "out_relu": "features.18.2"}
    return names | {"predictions": "classifier.1"}


def timm_names() -> dict[str, str]:
    """Keras layer -> timm module; an activation belongs to timm's normalisation."""
    names = {"Conv1": "conv_stem", "bn_Conv1": "bn1", "Conv_1": "conv_head", "Conv_1_bn": "bn2"}
    places = [(stage, index) for stage, count in enumerate(TIMM_STAGES) for index in range(count)]
    for block, (stage, index) in enumerate(places):
        keras_block, module = f"block_{block}" if block else "expanded_conv", f"blocks.{stage}.{index}"
        first = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
        convs = first if block else {"depthwise": "conv_dw", "project": "conv_pw"}
        for number, (part, conv) in enumerate(convs.items(), start=1):
            names[f"{keras_block}_{part}"] = f"{module}.{conv}"
            names[f"{keras_block}_{part}_BN"] = f"{module}.bn{number}"
    return names | {"predictions": "classifier"}


def timm_results() -> dict[str, str]:
    """The same for what they give: with the activation, where timm's normalisation has one."""
    names = timm_names()
    with_activation = {name: module for name, module in names.items() if name.endswith(("expand_BN", "depthwise_BN"))}
    relu = {name.replace("_BN", "_relu"): module for name, module in with_activation.items()}
    relu |= {"Conv1_relu": names.pop("bn_Conv1"), "out_relu": names.pop("Conv_1_bn")}
    return {name: module for name, module in names.items() if name not in with_activation} | relu


@pytest.fixture(scope="module")
def weights() -> list[np.ndarray]:
    """He-scaled kernels, and the statistics of a batch, a tenth wider."""
    random, model = np.random.default_rng(0), mobilenet(EVEN)
    for variable in model.trainable_variables:
        shape, leaf = tuple(variable.shape), variable.path.rpartition("/")[2]
        if leaf == "kernel":
            fan_in = prod(shape[:2]) if "depthwise" in variable.path else prod(shape[:-1])
            variable.assign(random.normal(0, sqrt(2 / fan_in), shape))
        else:
            variable.assign(random.normal(leaf == "gamma", 0.2, shape))
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    model(random.standard_normal((8, *EVEN, 3), dtype=np.float32), training=True)
    for norm in norms:
        norm.moving_variance.assign(norm.moving_variance * 1.1)
    return model.get_weights()


def mobilenet(size: tuple[int, int], given: list[np.ndarray] | None = None) -> Any:
    """Its paddings are computed from the size of its input."""
    model = keras.applications.MobileNetV2(
        input_shape=(*size, 3), alpha=WIDTH, weights=None, classes=CLASSES, classifier_activation=None
    )
    if given is not None:
        model.set_weights(given)
    return model


def carried(model: Any, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The weights by the names of a state_dict, in PyTorch's layouts."""
    state: dict[str, np.ndarray] = {}
    for layer in model.layers:
        arrays = {variable.name: np.asarray(variable.numpy()) for variable in layer.weights}
        if isinstance(layer, keras.layers.BatchNormalization):
            leaves = {
                "weight": "gamma",
                "bias": "beta",
                "running_mean": "moving_mean",
                "running_var": "moving_variance",
            }
        else:
            leaves = {"weight": "kernel", "bias": "bias"}
        # HWIO -> OIHW, HWCM -> CMHW, IO -> OI
        axes = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (3, 2, 0, 1)
        for leaf, own in leaves.items():
            if own in arrays:
                array = arrays[own]
                moved = array.transpose(axes) if array.ndim == 4 else array.T
                state[f"{names[layer.name]}.{leaf}"] = np.ascontiguousarray(moved)
    return state


@pytest.fixture
def torchvision(tmp_path: Path) -> Any:
    def make(state: Mapping[str, np.ndarray]) -> Elsewhere:
        np.savez(tmp_path / "weights.npz", **state)
        return Elsewhere(
            factory=f"{FILE}:from_torchvision",
            arguments={
                "weights": str(tmp_path / "weights.npz"),
                "width": WIDTH,
                "classes": CLASSES,
                "epsilon": EPSILON,
            },
            python=ENVIRONMENT / "bin" / "python",
        )

    return make


def test_torchvision_is_the_same_where_every_grid_is_odd(weights: list[np.ndarray], torchvision: Any) -> None:
    model = mobilenet(ODD, weights)
    names = torchvision_names({layer.name for layer in model.layers})
    state = carried(model, names)
    compare = partial(assert_parity, model, inputs=(2, *ODD, 3), names=names)
    result = compare(torchvision(state))
    assert len(result.comparison.layers) == len(names) + 1 > 150
    assert not any(layer.remarks for layer in result.comparison.layers)
    changed = state["features.6.conv.2.weight"].copy()
    changed[0, 0, 0, 0] += 1e-3 * np.abs(changed).max()
    with pytest.raises(ParityError) as caught:
        compare(torchvision(state | {"features.6.conv.2.weight": changed}), precision="float64")
    assert caught.value.result.comparison.first_difference == "block_5_project"
    assert "the first is block_5_project (B: features.6.conv.2)" in str(caught.value)


def test_torchvision_is_another_network_at_other_sizes(weights: list[np.ndarray], torchvision: Any) -> None:
    model = mobilenet(EVEN, weights)
    names = torchvision_names({layer.name for layer in model.layers})
    with pytest.raises(ParityError, match="padding of its convolution") as caught:
        assert_parity(model, torchvision(carried(model, names)), inputs=(2, *EVEN, 3), names=names, precision="float64")
    assert caught.value.result.comparison.first_difference == "Conv1"


def test_timm_is_the_same_with_the_padding_of_tensorflow(weights: list[np.ndarray], tmp_path: Path) -> None:
    model = mobilenet(EVEN, weights)
    np.savez(tmp_path / "weights.npz", **carried(model, timm_names()))
    options = {"weights": str(tmp_path / "weights.npz"), "name": "mobilenetv2_035", "classes": CLASSES}
    other = partial(Elsewhere, factory=f"{FILE}:from_timm", python=ENVIRONMENT / "bin" / "python")
    names = timm_results()
    compare = partial(assert_parity, model, inputs=(2, *EVEN, 3), names=names)
    result = compare(other(arguments=options | {"epsilon": EPSILON}))
    assert len(result.comparison.layers) == len(names) + 1 > 100
    with pytest.raises(ParityError) as caught:
        compare(other(arguments=options | {"epsilon": 1e-5}), precision="float64")  # that of PyTorch
    assert caught.value.result.comparison.first_difference == "Conv1_relu"
