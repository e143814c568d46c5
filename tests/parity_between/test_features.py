"""The features of both backends are the same numbers: float64 on both sides, one narrow network of each family."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from numpy.typing import NDArray

from effnet.backends import device_of
from effnet.choices import Backend, Device
from effnet.frameworks import import_frameworks
from effnet_core import NetworkSpec, Padding, reductions, resolve
from tests.lively import images, lively_state

NAMES = ["b0", "lite0", "edgetpu-S", "condconv-b0-4e", "v2-b0"]
X = images(2, 65, 50).astype(np.float64)

Features = dict[str, NDArray[np.float64]]
"""`reduction_1` to `reduction_5`, (N, H, W, C), of a network without its classifier."""


def narrow(name: str) -> NetworkSpec:
    return resolve(name, width=0.13, depth=0.3, num_classes=10)


def of_keras(spec: NetworkSpec, device: str = "cpu") -> Features:
    build = import_module("effnet_tf").create_model
    with device_of(Backend.TF, Device(device)):
        model = build(spec, lively_state(spec), include_top=False, endpoints=list(reductions(spec)), dtype="float64")
        return {name: np.asarray(value) for name, value in model(X, training=False).items()}


def of_torch(spec: NetworkSpec, device: str = "cpu") -> Features:
    build, torch = import_module("effnet_torch").create_model, import_module("torch")
    options = {"endpoints": list(reductions(spec)), "dtype": "float64", "device": device}
    model = build(spec, lively_state(spec), include_top=False, **options)
    with torch.no_grad():
        values = model.eval()(torch.from_numpy(X).to(device).permute(0, 3, 1, 2))  # (N, H, W, C) -> (N, C, H, W)
    return {name: value.permute(0, 2, 3, 1).cpu().numpy() for name, value in values.items()}


@pytest.fixture(scope="module", autouse=True)
def _frameworks() -> None:
    import_frameworks(Backend)


def apart(found: Features, expected: Features) -> dict[str, float]:
    """The largest difference of each, relative to the largest expected value."""
    return {name: float(np.abs(found[name] - array).max() / np.abs(array).max()) for name, array in expected.items()}


@pytest.mark.parametrize("name", NAMES)
def test_features_at_every_halving(name: str, device: str) -> None:
    spec = narrow(name)
    keras, torch = of_keras(spec, device), of_torch(spec, device)
    assert list(keras) == list(torch) == [f"reduction_{number}" for number in range(1, 6)]
    assert [array.shape[1:3] for array in keras.values()] == [(33, 25), (17, 13), (9, 7), (5, 4), (3, 2)]
    assert all(array.std() > 0.05 for array in keras.values())
    assert {key: error for key, error in apart(torch, keras).items() if not error < 1e-12} == {}


@pytest.mark.parametrize("build", [of_keras, of_torch])
def test_another_padding_parts_them(build: Callable[[NetworkSpec], Features]) -> None:
    spec = narrow("v2-b0")
    other = build(replace(spec, padding=Padding.SYMMETRIC))
    assert min(apart(other, of_keras(spec)).values()) > 1e-3  # 50 pixels: the stem pads differently
