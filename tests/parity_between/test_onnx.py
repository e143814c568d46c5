"""ONNX models, run by ONNX Runtime, are the networks that PyTorch runs in float64."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

import effnet
from converters import fold
from effnet.backends import Network, runner
from effnet.choices import Backend, Device, Precision
from effnet.frameworks import import_frameworks
from effnet_core import (
    Activation,
    InvalidOption,
    NetworkSpec,
    Padding,
    Pooling,
    endpoints,
    reductions,
    without_classifier,
    without_head,
)
from effnet_onnx import create_model
from tests.heads import narrow, short, with_hidden
from tests.lively import images, lively_state, settled_state

FAMILIES = ("b0", "lite0", "edgetpu-S", "condconv-b0-4e", "v2-b0")
ODD, EVEN = (65, 49), (64, 96)
LIMITS = {"float32": 1e-5, "float64": 1e-11}
"""Of the largest logit; they come within 2e-6 and 3e-15."""

Arrays = Mapping[str, NDArray[Any]]


@pytest.fixture(scope="module", autouse=True)
def _frameworks() -> None:
    import_frameworks([Backend.TORCH])
    import_module("torch").set_num_threads(1)  # narrow networks lose more by waiting for threads than they gain


@cache
def settled(name: str) -> tuple[NetworkSpec, Arrays]:
    spec = narrow(name)
    return spec, settled_state(spec)


def of_torch(spec: NetworkSpec, state: Arrays, x: NDArray[Any], **options: Any) -> Any:
    torch: Any = import_module("torch")
    model = import_module("effnet_torch").create_model(spec, state, dtype="float64", **options).eval()
    with torch.no_grad():
        found = model(torch.from_numpy(x.astype(np.float64)).permute(0, 3, 1, 2))  # (N, H, W, C) -> (N, C, H, W)
    return {name: _nhwc(value) for name, value in found.items()} if isinstance(found, dict) else _nhwc(found)


def _nhwc(tensor: Any) -> NDArray[Any]:
    return (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).numpy()


def session(spec: NetworkSpec, state: Arrays, **options: Any) -> Any:
    serialized = create_model(spec, state, **options).SerializeToString()
    return onnxruntime.InferenceSession(serialized, providers=["CPUExecutionProvider"])


def of_onnx(spec: NetworkSpec, state: Arrays, x: NDArray[Any], **options: Any) -> NDArray[Any]:
    (found,) = session(spec, state, **options).run(None, {"image": x.astype(options.get("dtype", "float32"))})
    return found


def apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_is_the_network_at_any_size_and_batch(name: str) -> None:
    spec, state = settled(name)
    folded = fold(spec, state, dtype="float64")
    for dtype, limit in LIMITS.items():
        for network in ((spec, state), folded):
            model = session(*network, dtype=dtype)
            # In float64 it is slow.
            for count, size in ((3, ODD), (1, EVEN)) if dtype == "float32" else ((2, ODD),):
                x = images(count, *size)
                (found,) = model.run(["logits"], {"image": x.astype(dtype)})
                assert found.dtype == dtype
                assert apart(found, of_torch(spec, state, x)) < limit


@pytest.mark.parametrize("name", FAMILIES)
def test_static_amounts_are_for_one_size(name: str) -> None:
    spec, state = settled(name)
    x = images(2, *EVEN)
    model = create_model(spec, state, input_size=EVEN)
    assert not any(attribute.name == "auto_pad" for node in model.graph.node for attribute in node.attribute)
    assert apart(of_onnx(spec, state, x, input_size=EVEN), of_torch(spec, state, x)) < 1e-5
    fixed = session(spec, state, input_size=EVEN)
    with pytest.raises(Exception, match="Got invalid dimensions"):
        fixed.run(None, {"image": images(2, *ODD)})


@pytest.mark.parametrize("name", FAMILIES)
def test_the_controls(name: str) -> None:
    spec, state = settled(name)
    x = images(2, *EVEN)
    truth = of_torch(spec, state, x)
    symmetric = replace(spec, padding=Padding.SYMMETRIC)
    # How float64 pads depends on no block.
    for options in ({}, {"dtype": "float64"}) if name == "b0" else ({"input_size": EVEN},):
        found = of_onnx(symmetric, state, x, **options)
        assert apart(found, truth) > 1e-3
        assert apart(found, of_torch(symmetric, state, x)) < 1e-5
    kernel = state["stem.conv.kernel"].copy()
    kernel[0, 0, 0, 0] += 1
    assert apart(of_onnx(spec, {**state, "stem.conv.kernel": kernel}, x), truth) > 1e-4
    name = next(name for name in state if name.endswith("project.conv.kernel"))
    assert apart(of_onnx(spec, {**state, name: -state[name]}, x), truth) > 1e-3


@pytest.mark.parametrize("name", ["condconv-b0-4e", "v2-b0"])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_every_endpoint(name: str, layout: str) -> None:
    spec, state = settled(name)
    names = (*endpoints(spec), *reductions(spec))
    x = images(2, *ODD)
    expected = of_torch(spec, state, x, endpoints=names)
    model = session(spec, state, endpoints=names, layout=layout, dtype="float64")
    is_first = layout == "channels_first"
    given = x.transpose(0, 3, 1, 2) if is_first else x  # (N, H, W, C) -> (N, C, H, W)
    found = dict(zip(names, model.run(list(names), {"image": given.astype(np.float64)}), strict=True))
    assert [output.name for output in model.get_outputs()] == list(names)
    for endpoint, value in found.items():
        in_order = value.transpose(0, 2, 3, 1) if is_first and value.ndim == 4 else value
        assert apart(in_order, expected[endpoint]) < 1e-11, endpoint


def test_hidden_layers_and_activations() -> None:
    for spec in (
        with_hidden(short()),
        with_hidden(short(), activation=Activation.SIGMOID, pooling=Pooling.MAX),
        with_hidden(short(), activation=Activation.SWISH),
    ):
        state, x = lively_state(spec), images(3, 33, 50)
        truth = of_torch(spec, state, x, endpoints=["hidden.2", "hidden.5", "logits"])
        for dtype, limit in LIMITS.items():
            model = session(spec, state, endpoints=list(truth), dtype=dtype)
            found = dict(zip(truth, model.run(list(truth), {"image": x.astype(dtype)}), strict=True))
            assert {name: error for name in truth if not (error := apart(found[name], truth[name])) < limit} == {}
        other = replace(spec, classifier=replace(spec.classifier, hidden=spec.classifier.hidden[:-1]))
        assert apart(of_onnx(other, state, x), truth["logits"]) > 1e-4  # the last activation acts


def test_features() -> None:
    spec, state = short(), lively_state(short())
    x = images(2, 33, 50)
    for pooling in Pooling:
        expected = of_torch(spec, state, x, include_top=False, pooling=pooling)
        found = of_onnx(spec, state, x, include_top=False, pooling=pooling)
        assert apart(found, expected) < 1e-5
    for cut in (without_classifier(spec), without_head(spec)):
        held = {name: state[name] for name in state if not name.startswith("classifier")}
        held = held if cut.head is not None else {name: held[name] for name in held if not name.startswith("head")}
        assert apart(of_onnx(cut, held, x), of_torch(cut, held, x)) < 1e-5


def test_the_backend_runs_in_both_precisions_and_parity_compares_it() -> None:
    spec, state = short(), lively_state(short())
    network = Network(spec=spec, state=state, name="narrow")
    found = effnet.parity(network, network, a_backend="torch", b_backend="onnx", inputs=images(2, *ODD))
    assert found.agrees, found.comparison.first_difference
    assert found.b.backend is Backend.ONNX
    wrong = replace(network, spec=replace(spec, padding=Padding.SYMMETRIC))
    other = effnet.parity(network, wrong, a_backend="torch", b_backend="onnx", inputs=images(2, *EVEN))
    assert other.comparison.first_difference == "stem"
    assert other.diagnosis is not None
    agreement = effnet.folding_agreement(network, backend="onnx", inputs=images(2, *ODD))
    assert agreement.agrees, agreement.first_difference


def test_what_only_frameworks_can_do_is_refused() -> None:
    spec, state = short(), lively_state(short())
    network = Network(spec=spec, state=state, name="narrow")
    with pytest.raises(InvalidOption, match="expected tf or torch"):
        effnet.exact_parity(network, network, a_backend="torch", b_backend="onnx")
    with pytest.raises(InvalidOption, match="expected tf or torch"):
        effnet.training_parity(network, network, a_backend="onnx", b_backend="torch")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        options: dict[str, Any] = {"precision": Precision.FLOAT32, "device": Device.CUDA}
        with (
            pytest.raises(effnet.EffnetError, match="ONNX Runtime sees no CUDA device"),
            runner(network, endpoints=["logits"], backend=Backend.ONNX, **options),
        ):
            pass
