"""A folded network is the same function as the network before, in both backends."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converters import fold
from effnet.backends import Network
from effnet.choices import Backend
from effnet.folding import folding_agreement
from effnet.frameworks import import_frameworks
from effnet_core import InvalidOption, NetworkSpec, NormMode, Padding, norm_of
from tests.heads import narrow, short, with_hidden
from tests.lively import images, lively_state, settled_state

FAMILIES = ("b0", "lite0", "edgetpu-S", "condconv-b0-4e", "v2-b0")
SIZES = ((65, 49), (64, 96))
LIMIT = 1e-12
"""Of the largest logit; the folded networks come within 2e-15."""

Arrays = Mapping[str, NDArray[Any]]


@pytest.fixture(scope="module", autouse=True)
def _frameworks() -> None:
    import_frameworks(Backend)
    import_module("torch").set_num_threads(1)  # narrow networks lose more by waiting for threads than they gain


@cache
def settled(name: str) -> tuple[NetworkSpec, Arrays]:
    spec = narrow(name)
    return spec, settled_state(spec)


def of_torch(spec: NetworkSpec, state: Arrays, size: tuple[int, int]) -> NDArray[np.float64]:
    torch: Any = import_module("torch")
    model = import_module("effnet_torch").create_model(spec, state, dtype="float64").eval()
    with torch.no_grad():
        return model(torch.from_numpy(numbers(size)).permute(0, 3, 1, 2)).numpy()  # (N, H, W, C) -> (N, C, H, W)


def of_keras(spec: NetworkSpec, state: Arrays, size: tuple[int, int]) -> NDArray[np.float64]:
    model = import_module("effnet_tf").create_model(spec, state, dtype="float64")
    return np.asarray(model(numbers(size), training=False))


def numbers(size: tuple[int, int]) -> NDArray[np.float64]:
    return images(2, *size).astype(np.float64)


def apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.parametrize("name", FAMILIES)
def test_folded_networks_are_the_same_function(name: str) -> None:
    spec, state = settled(name)
    folded = fold(spec, state, dtype="float64")
    # At an odd and at a non-square size, each in one backend, and across the backends.
    for before, after, size in ((of_torch, of_keras, SIZES[0]), (of_torch, of_torch, SIZES[1])):
        assert apart(after(*folded, size), before(spec, state, size)) < LIMIT


@pytest.mark.parametrize("name", FAMILIES)
def test_the_controls_of_folding(name: str) -> None:
    spec, state = settled(name)
    truth = of_torch(spec, state, SIZES[0])
    epsilon = replace(spec, norm=replace(norm_of(spec, wanted="an epsilon"), epsilon=2e-3))
    assert apart(of_torch(*fold(epsilon, state, dtype="float64"), SIZES[0]), truth) > 1e-4
    # Two norms that follow each other in one block, and have the same shape.
    index = next(index for index, block in enumerate(spec.blocks) if block.has_expansion)
    parts = ("expand", "depthwise") if f"blocks.{index}.depthwise.norm.gamma" in state else ("expand", "project")
    leaves = [leaf for leaf in ("gamma", "beta", "mean", "variance") if parts[1] == "depthwise"]
    names = [tuple(f"blocks.{index}.{part}.norm.{leaf}" for part in parts) for leaf in leaves]
    swapped = dict(state) | {one: state[other] for pair in names for one, other in (pair, pair[::-1])}
    if not names:  # those of a fused block differ in shape: two channels of one
        gamma = f"blocks.{index}.expand.norm.gamma"
        swapped[gamma] = state[gamma][::-1]
    assert apart(of_torch(*fold(spec, swapped, dtype="float64"), SIZES[0]), truth) > 1e-3
    symmetric = replace(spec, padding=Padding.SYMMETRIC)
    assert apart(of_torch(*fold(symmetric, state, dtype="float64"), SIZES[1]), of_torch(spec, state, SIZES[1])) > 1e-3


def test_hidden_norms_are_folded_where_a_dense_layer_is_next_to_them() -> None:
    spec = with_hidden(short())
    state = lively_state(spec)
    folded, weights = fold(spec, state, dtype="float64")
    for run in (of_torch, of_keras):
        assert apart(run(folded, weights, SIZES[0]), run(spec, state, SIZES[0])) < LIMIT
    wrong = {**weights, "hidden.3.bias": 1.01 * weights["hidden.3.bias"]}
    assert apart(of_torch(folded, wrong, SIZES[0]), of_torch(spec, state, SIZES[0])) > 1e-4


@pytest.mark.parametrize("backend", [Backend.TF, Backend.TORCH])
def test_the_agreement_is_measured_in_every_layer(backend: Backend) -> None:
    # Every endpoint of a Keras model costs time.
    spec, state = settled("condconv-b0-4e") if backend is Backend.TORCH else (short(), lively_state(short()))
    network = Network(spec=spec, state=state, name="narrow")
    found = folding_agreement(network, backend=backend, inputs=images(2, 65, 49))
    assert found.agrees, found.first_difference
    assert found.layers[-1].name == "logits"
    # float32 weights are rounded once more, so that zero would mean that nothing was compared.
    assert 0 < found.layers[-1].float64.relative < LIMIT < found.layers[-1].float32.relative < 1e-5


def test_folded_networks_train_without_norms() -> None:
    spec, state = settled("condconv-b0-4e")
    folded, weights = fold(spec, state)
    torch: Any = import_module("torch")
    # A block that drops both examples would have no gradients.
    model = import_module("effnet_torch").create_model(folded, weights, drop_connect_rate=0.0).train()
    model(torch.from_numpy(images(2, 33, 33)).permute(0, 3, 1, 2)).square().sum().backward()
    assert [name for name, tensor in model.named_parameters() if not tensor.grad.any()] == []
    assert not any("norm" in name for name, _ in model.named_modules())
    keras = import_module("effnet_tf").create_model(folded, weights, seed=1)
    x = images(8, 33, 33)
    assert apart(np.asarray(keras(x, training=True)), np.asarray(keras(x, training=False))) > 1e-3  # drop-connect acts
    for backend in ("effnet_torch", "effnet_tf"):
        with pytest.raises(InvalidOption, match="none to freeze"):
            import_module(backend).create_model(folded, norm_mode=NormMode.FROZEN)
        read = import_module(backend).read_state(model if backend == "effnet_torch" else keras, folded)
        assert {name: array.tobytes() for name, array in read.items()} == {
            name: array.tobytes() for name, array in weights.items()
        }
