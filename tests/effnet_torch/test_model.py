import copy
import pickle
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import torch

from effnet_core import (
    VARIANTS,
    Family,
    InvalidOption,
    InvalidSpec,
    NetworkSpec,
    Norm,
    Padding,
    Pooling,
    UnknownEndpoint,
    UnknownVariant,
    endpoints,
    parameter_count,
    parameters,
    reductions,
    resolve,
    total_count,
)
from effnet_torch import UnavailableDevice, UnknownDtype, create_model, read_state
from tests.effnet_torch.helpers import apart, calibrated_state, lively_model, narrow, nchw, norms, run, skeleton
from tests.lively import images

X = images(2, 65, 49)
FAMILIES = ["b0", "edgetpu-S", "condconv-b0-4e", "v2-b0"]


def counted(model: torch.nn.Module) -> tuple[int, int]:
    trainable = sum(tensor.numel() for tensor in model.parameters())
    return trainable, trainable + sum(b.numel() for name, b in model.named_buffers() if "running" in name)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_the_parameters_of_its_definition(name: str) -> None:
    spec = resolve(name)
    assert counted(skeleton(spec)) == (parameter_count(spec), total_count(spec))


def test_module_paths_are_canonical_names_and_leaves_are_those_of_torch(spec: NetworkSpec) -> None:
    model = create_model(spec)
    layers = dict.fromkeys(parameter.layer for parameter in parameters(spec))
    leaves = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    paths = [name.rsplit(".", 1) for name in model.state_dict()]
    assert list(dict.fromkeys(path for path, _ in paths)) == list(layers)
    assert {leaf for _, leaf in paths} == leaves


def test_a_new_model_is_in_training_mode_like_any_module() -> None:
    assert create_model(narrow()).training
    assert create_model(narrow(), calibrated_state(narrow())).training


def test_decay_and_epsilon_reach_every_normalisation() -> None:
    for name in VARIANTS:
        model = skeleton(resolve(name))
        found = {(norm.eps, round(norm.momentum or 0, 12)) for norm in norms(model)}
        assert found == {(1e-3, 0.1 if model.spec.family is Family.V2 else 0.01)}
        assert len(norms(model)) == sum(parameter.name.endswith("gamma") for parameter in parameters(resolve(name)))


def test_another_norm_of_the_definition_reaches_every_normalisation(spec: NetworkSpec) -> None:
    model = skeleton(replace(spec, norm=Norm(epsilon=1e-5, decay=0.9)))
    assert {(norm.eps, round(norm.momentum or 0, 12)) for norm in norms(model)} == {(1e-5, 0.1)}


def test_classes_and_input_channels(spec: NetworkSpec) -> None:
    model = create_model(spec, num_classes=7, in_channels=5).eval()
    assert run(model, images(2, 32, 32, channels=5)).shape == (2, 7)
    assert (model.spec.classifier.num_classes, model.spec.stem.in_channels) == (7, 5)


def test_a_name_means_the_published_network() -> None:
    assert create_model("EfficientNetB0").spec == resolve("efficientnet-b0")


def test_features_are_what_the_classifier_sees(spec: NetworkSpec) -> None:
    state = calibrated_state(spec)
    spatial = run(lively_model(spec, include_top=False, pooling=Pooling.NONE), X)
    pooled = run(lively_model(spec, include_top=False), X)
    logits = run(lively_model(spec), X)
    assert spatial.shape == (2, 3, 2, spec.head.out_channels)
    assert apart(spatial.mean((1, 2)), pooled) < 1e-6
    assert apart(pooled @ state["classifier.kernel"] + state["classifier.bias"], logits) < 1e-6


@pytest.mark.parametrize("name", FAMILIES)
def test_every_endpoint_has_its_name_and_the_last_is_the_result(name: str) -> None:
    spec = narrow(name)
    names = endpoints(spec)
    values = run(lively_model(spec, endpoints=names), X)
    assert tuple(values) == names
    assert np.array_equal(values["logits"], run(lively_model(spec), X))
    assert apart(values["head"].mean((1, 2)), values["pooled"]) < 1e-6
    for index, block in enumerate(spec.blocks):
        if block.has_residual:
            before = values[f"blocks.{index - 1}" if index else "stem"]
            assert np.array_equal(values[f"blocks.{index}"], values[f"blocks.{index}.project"] + before)
        else:
            assert np.array_equal(values[f"blocks.{index}"], values[f"blocks.{index}.project"])


@pytest.mark.parametrize("name", FAMILIES)
def test_reductions_are_the_blocks_that_they_name_at_every_halving(name: str) -> None:
    spec = narrow(name)
    named = reductions(spec)
    values = run(lively_model(spec, endpoints=[*named, *named.values()]), X)
    sides = [values[name].shape[1:3] for name in named]
    assert sides == [(33, 25), (17, 13), (9, 7), (5, 4), (3, 2)]
    assert all(np.array_equal(values[name], values[block]) for name, block in named.items())


def test_nothing_runs_behind_the_last_endpoint(spec: NetworkSpec) -> None:
    model = lively_model(spec, endpoints=["reduction_2"])
    ran: list[str] = []
    for name, module in model.named_children():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    for index, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, index=index: ran.append(f"blocks.{index}"))
    assert list(run(model, X)) == ["reduction_2"]
    assert ran == ["stem", "blocks.0", "blocks.1", "blocks.2"]


def test_an_unknown_endpoint_is_refused(spec: NetworkSpec) -> None:
    with pytest.raises(UnknownEndpoint, match=r"blocks\.0\.expand"):
        create_model(spec, endpoints=["blocks.0.expand"])
    with pytest.raises(UnknownEndpoint, match="include_top"):
        create_model(spec, endpoints=["logits"], include_top=False)


def test_pooled_is_an_endpoint_of_features_too(spec: NetworkSpec) -> None:
    model = lively_model(spec, endpoints=["pooled"], include_top=False, pooling=Pooling.NONE)
    assert np.array_equal(run(model, X)["pooled"], run(lively_model(spec, include_top=False), X))


def test_symmetric_padding_of_the_definition_is_obeyed(spec: NetworkSpec) -> None:
    other = replace(spec, padding=Padding.SYMMETRIC)
    assert {module.pads_first for module in create_model(other).modules() if hasattr(module, "pads_first")} == {False}
    symmetric = create_model(other, calibrated_state(spec)).eval()
    assert apart(run(symmetric, images(2, 64, 64)), run(lively_model(spec), images(2, 64, 64))) > 1e-2


@pytest.mark.parametrize(
    ("dtype", "bound"), [("float64", 1e-12), ("float32", 1e-5), ("bfloat16", 0.1), ("float16", 0.02)]
)
def test_dtypes(device: str, spec: NetworkSpec, dtype: str, bound: float) -> None:
    model = lively_model(spec, dtype=dtype, device=device)
    tensors = [tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")]
    assert {tensor.dtype for tensor in tensors} == {getattr(torch, dtype)}
    with torch.no_grad():
        logits = model(nchw(X).to(tensors[0])).double().cpu().numpy()
    assert apart(logits, run(lively_model(spec, dtype="float64"), X)) < bound


def test_conversions_of_torch(spec: NetworkSpec) -> None:
    reference = run(lively_model(spec), X)
    model = lively_model(spec)
    assert apart(run(model.double(), X), reference) < 1e-5
    assert np.array_equal(run(model.float(), X), reference)
    assert apart(run(model.half(), X), reference) < 0.02
    assert apart(run(model.to("cpu", torch.float64), X), reference) < 0.02


def test_copies_give_the_same_result(spec: NetworkSpec) -> None:
    model = lively_model(spec, endpoints=["blocks.3", "logits"])
    loaded = create_model(spec, endpoints=["blocks.3", "logits"]).eval()
    assert apart(run(loaded, X)["logits"], run(model, X)["logits"]) > 0.1
    loaded.load_state_dict(model.state_dict())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded):
        for name, value in run(model, X).items():
            assert np.array_equal(run(twin, X)[name], value)


def test_a_seed_fixes_the_fresh_values_and_leaves_the_global_generator_alone(spec: NetworkSpec) -> None:
    before = torch.get_rng_state()
    first, second, other = (read_state(create_model(spec, seed=seed), spec) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["stem.conv.kernel"], other["stem.conv.kernel"])
    double = read_state(create_model(spec, seed=1, dtype="float64"), spec)
    assert all(np.array_equal(first[name], double[name]) for name in first)


def test_without_a_seed_the_global_generator_decides(spec: NetworkSpec) -> None:
    torch.manual_seed(5)
    first, second = create_model(spec), create_model(spec)
    torch.manual_seed(5)
    again = create_model(spec)
    assert torch.equal(first.stem.conv.weight, again.stem.conv.weight)
    assert not torch.equal(first.stem.conv.weight, second.stem.conv.weight)


def test_fresh_values_follow_the_published_initialisers() -> None:
    spec = resolve("b0", width=1.0, num_classes=100)
    state = read_state(create_model(spec, seed=0), spec)
    # Normal with the fan out, not truncated: 2 / (height * width * out); depthwise: 2 / (height * width).
    for name, variance in {
        "stem.conv": 2 / (9 * 32),
        "blocks.12.expand.conv": 2 / 1152,
        "blocks.12.depthwise.conv": 2 / 25,
        "blocks.12.squeeze_excite.reduce": 2 / 48,
        "head.conv": 2 / 1280,
    }.items():
        kernel = state[f"{name}.kernel"]
        assert kernel.std() == pytest.approx(sqrt(variance), rel=5 / sqrt(2 * kernel.size)), name
        assert abs(kernel.mean()) < 5 * sqrt(variance / kernel.size), name
    assert np.abs(state["head.conv.kernel"]).max() > 3.5 * sqrt(2 / 1280)
    dense = state["classifier.kernel"]
    assert np.abs(dense).max() == pytest.approx(0.1, rel=1e-3)
    assert dense.std() == pytest.approx(0.1 / sqrt(3), rel=0.01)
    constants = {"gamma": 1.0, "variance": 1.0, "beta": 0.0, "mean": 0.0, "bias": 0.0}
    for name, array in state.items():
        leaf = name.rsplit(".", 1)[1]
        if leaf != "kernel":
            assert (array == constants[leaf]).all(), name
    assert not create_model(spec, seed=0).stem.norm.num_batches_tracked.any()


def test_fresh_experts_are_drawn_like_kernels_of_their_own_and_the_routing_like_a_dense_layer() -> None:
    spec = narrow("condconv-b0-4e", width=0.5)
    state = read_state(create_model(spec, seed=0), spec)
    for name, variance in {"expand": 2 / 576, "depthwise": 2 / 25, "project": 2 / 96}.items():
        experts = state[f"blocks.12.{name}.conv.kernel"]
        assert experts.std() == pytest.approx(sqrt(variance), rel=5 / sqrt(2 * experts.size)), name
        assert not np.array_equal(experts[0], experts[1])
    limit = sqrt(6 / (96 + 4))
    assert 0.95 * limit < np.abs(state["blocks.12.routing.kernel"]).max() <= limit
    assert not state["blocks.12.routing.bias"].any()


def test_rates_are_rescaled_over_the_blocks(spec: NetworkSpec) -> None:
    model = create_model(spec, dropout_rate=0.25, drop_connect_rate=0.8)
    drops = {i: block.drop_connect.rate for i, block in enumerate(model.blocks) if block.drop_connect is not None}
    assert drops == {i: 0.8 * i / 16 for i, block in enumerate(spec.blocks) if block.has_residual and i}
    assert model.dropout.p == 0.25
    assert all(block.drop_connect is None for block in create_model(spec, drop_connect_rate=0.0).blocks)


def test_rates_act_in_training_only(spec: NetworkSpec) -> None:
    model = lively_model(spec)
    assert np.array_equal(run(model, X), run(model, X))
    for norm in norms(model.train()):
        norm.eval()
    assert not np.array_equal(run(model, X), run(model, X))
    without = lively_model(spec, drop_connect_rate=0.0, dropout_rate=0.0)
    for norm in norms(without.train()):
        norm.eval()
    assert np.array_equal(run(without, X), run(model.eval(), X))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = lively_model(narrow(name), drop_connect_rate=0.0).train()
    torch.nn.functional.cross_entropy(model(nchw(images(4, 64, 64))), torch.tensor([0, 1, 2, 3])).backward()
    silent = [name for name, tensor in model.named_parameters() if tensor.grad is None or not tensor.grad.any()]
    assert silent == []


def test_bad_options_are_refused_with_what_to_do() -> None:
    with pytest.raises(UnknownVariant, match="b9"):
        create_model("b9")
    with pytest.raises(InvalidSpec, match="num_classes"):
        create_model("b0", num_classes=0)
    with pytest.raises(InvalidSpec, match="dropout_rate"):
        create_model("b0", dropout_rate=1.0)
    with pytest.raises(UnknownDtype, match="float32, float64, bfloat16, float16"):
        create_model(narrow(), dtype="float8")
    with pytest.raises(UnavailableDevice, match="no-such-device"):
        create_model(narrow(), device="no-such-device")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnavailableDevice, match="Choose cpu"):
        create_model(narrow(), device="cuda")


@pytest.mark.parametrize("weights", ["imagenet", 3])
def test_weights_that_are_no_state_are_refused(weights):
    with pytest.raises(InvalidOption, match=r"call effnet\.load_model"):
        create_model("b0", weights)


@pytest.mark.parametrize("shape", [(2, 33, 32, 3), (3, 32, 32), (2, 4, 32, 32)])
def test_images_in_another_layout_are_refused(shape):
    model = create_model(resolve("b0", width=0.13, depth=0.3)).eval()
    with pytest.raises(InvalidOption, match=r"expected \(N, 3, H, W\)"):
        model(torch.zeros(shape))
