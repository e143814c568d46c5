import inspect
import sys

import keras
import numpy as np
import pytest

from effnet_core import (
    InvalidOption,
    NetworkSpec,
    Pooling,
    UnknownEndpoint,
    endpoints,
    parameters,
    reductions,
    resolve,
    total_count,
)
from effnet_tf import create_model, load_state, read_state
from tests import oracle

TOLERANCES = {"float64": 1e-12, "float32": 3e-6}


def run(model, image):
    return np.asarray(model(image.astype(model.input.dtype), training=False))


@pytest.mark.parametrize("folder", oracle.FOLDERS)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_logits_are_the_official_ones(folder, dtype):
    model = create_model(oracle.load(folder, ema=False).spec, dtype=dtype)
    for ema in (False, True):
        truth = oracle.load(folder, ema=ema)
        load_state(model, truth.spec, truth.state)
        for size in oracle.SIZES:
            logits = run(model, truth.inputs[size])
            assert logits.dtype == dtype
            assert oracle.relative_error(logits, truth.logits64[size]) < TOLERANCES[dtype], (ema, size)


def test_logits_of_an_object_based_checkpoint_are_those_of_the_averages():
    truth = oracle.load(oracle.OBJECT_BASED, ema=True)
    for dtype, bound in TOLERANCES.items():
        model = create_model(truth.spec, truth.state, dtype=dtype)
        for size in oracle.SIZES:
            assert oracle.relative_error(run(model, truth.inputs[size]), truth.logits64[size]) < bound, (dtype, size)


@pytest.mark.parametrize("folder", oracle.FOLDERS)
def test_intermediates_are_the_official_ones(folder):
    spec = oracle.load(folder, ema=False).spec
    names = oracle.official_endpoints(spec)
    model = create_model(spec, endpoints=[*names, "logits"])
    for ema in (False, True):
        truth = oracle.load(folder, ema=ema)
        load_state(model, spec, truth.state)
        values = model(truth.inputs["64x64"], training=False)
        assert list(values) == [*names, "logits"]
        errors = {ours: oracle.endpoint_error(truth, name, np.asarray(values[ours])) for ours, name in names.items()}
        assert {ours: error for ours, error in errors.items() if not error < 1e-5} == {}
        assert oracle.relative_error(np.asarray(values["logits"]), truth.logits64["64x64"]) < TOLERANCES["float32"]


def test_a_checkpoint_of_a_training():
    for ema in (False, True):
        truth = oracle.load("train-v1", ema=ema)
        model = create_model(truth.spec, truth.state)
        assert oracle.relative_error(run(model, truth.inputs["64x64"]), truth.logits["64x64"]) < TOLERANCES["float32"]


@pytest.mark.parametrize("folder", ["efficientnet-b0", "efficientnet-condconv-b0-4e", "efficientnetv2-s"])
def test_every_endpoint_exists_and_reductions_repeat_blocks(folder):
    truth = oracle.load(folder, ema=False)
    names = [*endpoints(truth.spec), *reductions(truth.spec)]
    values = create_model(truth.spec, truth.state, endpoints=names)(truth.inputs["64x64"])
    assert list(values) == names
    for number, (name, block) in enumerate(reductions(truth.spec).items(), start=1):
        assert values[name].shape[1:3] == (64 >> number, 64 >> number)
        np.testing.assert_array_equal(values[name], values[block])


def test_endpoints_do_not_build_what_they_do_not_need():
    truth = oracle.load("efficientnet-b0", ema=False)
    model = create_model(truth.spec, truth.state, endpoints=["blocks.1.project"])
    assert list(model.output) == ["blocks.1.project"]
    state = read_state(model, truth.spec)
    assert list(state) == [item.name for item in parameters(truth.spec) if item.block in (0, 1) or "stem" in item.name]
    for name, array in state.items():
        np.testing.assert_array_equal(array, truth.state[name])


def test_without_top():
    truth = oracle.load("efficientnet-b0", ema=False)
    image = truth.inputs["65x49"]
    spatial = create_model(truth.spec, truth.state, include_top=False, pooling=Pooling.NONE)
    pooled = create_model(truth.spec, truth.state, include_top=False)
    features = run(spatial, image)
    channels = truth.spec.head.out_channels
    assert features.shape == (2, 3, 2, channels)
    assert run(pooled, image).shape == (2, channels)
    assert oracle.relative_error(run(pooled, image), features.mean((1, 2))) < 1e-6
    assert not [name for name in read_state(pooled, truth.spec) if name.startswith("classifier")]


def test_options_reach_the_model():
    spec = resolve("b0", width=0.13)
    model = create_model(spec, num_classes=7, in_channels=1, input_size=(40, 33), dropout_rate=0.4)
    assert model.input.shape == (None, 40, 33, 1)
    assert model.output.shape == (None, 7)
    assert model.get_layer("dropout").rate == 0.4
    assert model.name == "efficientnet-b0"
    free = create_model(spec)
    assert free.input.shape == (None, None, None, 3)
    assert free.output.shape == (None, 1000)


def test_mixed_precision_computes_logits_in_the_type_of_the_variables():
    truth = oracle.load("efficientnet-b0", ema=True)
    model = create_model(truth.spec, truth.state, dtype="mixed_bfloat16")
    assert model.get_layer("head.conv").compute_dtype == "bfloat16"
    logits = run(model, truth.inputs["64x64"])
    assert logits.dtype == np.float32
    assert 1e-4 < oracle.relative_error(logits, truth.logits64["64x64"]) < 0.1


@pytest.mark.parametrize("name", ["b0", "lite0"])
def test_counts_of_the_published_networks(name):
    assert create_model(name).count_params() == total_count(resolve(name))


@pytest.mark.parametrize("name", ["b3", "lite4"])
def test_names_and_shapes_of_deeper_networks(name):
    spec: NetworkSpec = resolve(name, width=0.13)
    state = read_state(create_model(spec), spec)
    assert {key: array.shape for key, array in state.items()} == {item.name: item.shape for item in parameters(spec)}


def test_a_network_may_be_deeper_than_python_allows_calls():
    """EfficientNetV2-XL and L2 are, for the usual limit."""
    usual = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(len(inspect.stack()) + 110)
        model = create_model(resolve("b0", width=0.04, depth=0.35))
        assert sys.getrecursionlimit() < usual
        with pytest.raises(RecursionError):  # the control: the same graph without our help
            keras.Model(model.input, model.output)
    finally:
        sys.setrecursionlimit(usual)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dtype": "float31"}, InvalidOption, "float31"),
        ({"input_size": (0, 5)}, InvalidOption, r"\(0, 5\)"),
        ({"include_top": False, "pooling": "median"}, InvalidOption, "average, max, none"),
        ({"endpoints": ["block_3"]}, UnknownEndpoint, "blocks.3"),
        ({"endpoints": ["logits"], "include_top": False}, UnknownEndpoint, "include_top=True"),
    ],
)
def test_options_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message):
        create_model(resolve("lite0", width=0.13), **options)


@pytest.mark.parametrize("weights", ["imagenet", 3])
def test_weights_that_are_no_state_are_refused(weights):
    with pytest.raises(InvalidOption, match=r"call effnet\.load_model"):
        create_model(resolve("b0", width=0.13, depth=0.3), weights)
