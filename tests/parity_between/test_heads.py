"""Networks with hidden layers, without classifier or without head: float64 in both backends gives the same."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from effnet.backends import device_of
from effnet.choices import Backend, Device
from effnet.frameworks import import_frameworks
from effnet_core import (
    Activation,
    HiddenDense,
    HiddenNorm,
    NetworkSpec,
    Pooling,
    classifier_of,
    endpoints,
    without_classifier,
    without_head,
)
from tests.heads import short, with_hidden
from tests.lively import images, lively_state

X = images(3, 65, 50).astype(np.float64)
HIDDEN = with_hidden(short())
CLASSIFIER = classifier_of(short(), wanted="classes")

Values = dict[str, NDArray[np.float64]]


@pytest.fixture(scope="module", autouse=True)
def _frameworks() -> None:
    import_frameworks(Backend)
    import_module("torch").set_num_threads(1)  # narrow networks lose more by waiting for threads than they gain


def of_keras(spec: NetworkSpec, device: str = "cpu") -> Values:
    create = import_module("effnet_tf").create_model
    with device_of(Backend.TF, Device(device)):
        model = create(spec, lively_state(spec), endpoints=endpoints(spec), dtype="float64")
        return {name: np.asarray(value) for name, value in model(X, training=False).items()}


def of_torch(spec: NetworkSpec, device: str = "cpu") -> Values:
    torch: Any = import_module("torch")
    create = import_module("effnet_torch").create_model
    model = create(spec, lively_state(spec), endpoints=endpoints(spec), dtype="float64", device=device).eval()
    with torch.no_grad():
        values = model(torch.from_numpy(X).to(device).permute(0, 3, 1, 2))  # (N, H, W, C) -> (N, C, H, W)
    return {name: nhwc(value.cpu()) for name, value in values.items()}


def nhwc(tensor: Any) -> NDArray[np.float64]:
    return (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).numpy()


def output(backend: str, spec: NetworkSpec, **options: Any) -> NDArray[np.float64]:
    """What a model gives without endpoints."""
    create = import_module(backend).create_model
    model = create(spec, lively_state(spec), dtype="float64", **options)
    if backend == "effnet_tf":
        return np.asarray(model(X, training=False))
    torch: Any = import_module("torch")
    with torch.no_grad():
        return nhwc(model.eval()(torch.from_numpy(X).permute(0, 3, 1, 2)))


def apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(b).max())


def test_hidden_layers(device: str) -> None:
    keras, torch = of_keras(HIDDEN, device), of_torch(HIDDEN, device)
    assert list(keras) == list(torch) == list(endpoints(HIDDEN))
    assert list(keras)[-7:] == [*(f"hidden.{index}" for index in range(6)), "logits"]
    assert all(value.std() > 0.01 for value in keras.values())
    assert {name: error for name in keras if not (error := apart(torch[name], keras[name])) < 1e-12} == {}


def test_every_activation(device: str) -> None:
    layers = [HiddenDense(in_channels=9, out_channels=9, activation=activation) for activation in Activation]
    first = HiddenDense(in_channels=CLASSIFIER.in_channels, out_channels=9, activation=None)
    spec = replace(short(), classifier=replace(CLASSIFIER, in_channels=9, hidden=(first, *layers)))
    keras, torch = of_keras(spec, device), of_torch(spec, device)
    assert {name: error for name in keras if not (error := apart(torch[name], keras[name])) < 1e-12} == {}


@pytest.mark.parametrize("run", [of_keras, of_torch])
def test_every_part_of_a_hidden_layer_acts(run: Callable[[NetworkSpec], Values]) -> None:
    logits = run(HIDDEN)["logits"]
    classifier = classifier_of(HIDDEN, wanted="classes")
    layers = classifier.hidden
    norm = HiddenNorm(channels=12, epsilon=3e-3, decay=0.9)
    for changed in (
        with_hidden(short(), activation=Activation.SWISH),
        with_hidden(short(), pooling=Pooling.MAX),
        replace(HIDDEN, classifier=replace(classifier, hidden=(layers[0], norm, *layers[2:]))),
        replace(HIDDEN, classifier=replace(classifier, hidden=layers[:-1])),
    ):
        assert apart(run(changed)["logits"], logits) > 1e-6


def test_maximum_pooling(device: str) -> None:
    spec = with_hidden(short(), pooling=Pooling.MAX)
    keras, torch = of_keras(spec, device), of_torch(spec, device)
    assert np.array_equal(keras["pooled"], keras["head"].max((1, 2)))
    assert apart(torch["logits"], keras["logits"]) < 1e-12


@pytest.mark.parametrize(("cut", "last"), [(without_classifier, "pooled"), (without_head, "blocks.1")])
def test_networks_that_end_earlier(cut: Callable[[NetworkSpec], NetworkSpec], last: str) -> None:
    spec = cut(HIDDEN)
    keras, torch = of_keras(spec), of_torch(spec)
    assert list(keras) == list(torch) == list(endpoints(spec))
    assert list(keras)[-1] == last
    assert apart(torch[last], keras[last]) < 1e-12
    for backend in ("effnet_tf", "effnet_torch"):
        assert np.array_equal(output(backend, spec), (keras if backend == "effnet_tf" else torch)[last])
    assert np.array_equal(of_torch(HIDDEN)[last], torch[last])
    # The control: the outputs of the whole network are others.
    assert output("effnet_torch", HIDDEN).shape != torch[last].shape


@pytest.mark.parametrize("backend", ["effnet_tf", "effnet_torch"])
def test_features_of_a_network_without_classifier_are_pooled_as_asked_for(backend: str) -> None:
    spec = without_classifier(short())
    spatial = output(backend, spec, pooling="none")
    assert spatial.ndim == 4
    assert apart(output(backend, spec), spatial.mean((1, 2))) < 1e-14
    assert np.array_equal(output(backend, spec, pooling="max"), spatial.max((1, 2)))
    assert not np.array_equal(output(backend, spec), spatial.max((1, 2)))
    whole = replace(short(), classifier=replace(CLASSIFIER, pooling=Pooling.MAX))
    assert np.array_equal(output(backend, whole, include_top=False), spatial.max((1, 2)))


def test_frozen_norms_are_hidden_ones_too() -> None:
    model = import_module("effnet_torch").create_model(HIDDEN, norm_mode="frozen").train()
    assert [layer.training for layer in model.hidden] == [True, False, True, True, False, True]
    assert not any(parameter.requires_grad for parameter in model.hidden[1].parameters())
    keras = import_module("effnet_tf").create_model(HIDDEN, norm_mode="frozen")
    assert [keras.get_layer(f"hidden.{index}").trainable for index in (0, 1, 3, 4)] == [True, False, True, False]
