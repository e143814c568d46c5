"""Networks whose convolutions have a bias in front of a norm: read as the same network without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import effnet
from converters import SourceOptions, digest, open_checkpoint, save_state
from converters.convert import TargetOptions, convert_checkpoint
from converters.dialects import DIALECTS
from converters.formats.base import Array
from converters.names.naming import entry_of
from effnet_core import CheckpointMismatch, NetworkSpec, Role, parameters, resolve
from tests.converters.memory import equal, in_dialect, opened
from tests.heads import narrow
from tests.lively import lively_state

NOTE = "Convolutions in front of norms have a bias"
OWN = {"native", "effnet-torch", "effnet-keras", "keras-order"}
"""In this project's names, networks without norms have such biases; the last has no names of layers at all."""
STEPS = 1024
"""Numbers that are whole multiples of 1 / STEPS are added and subtracted without rounding."""


def network(dialect: str) -> NetworkSpec:
    families = DIALECTS[dialect].families
    return narrow() if families is None or resolve("b0").family in families else narrow("v2-b0")


def coarse(spec: NetworkSpec) -> dict[str, Array]:
    """A state whose means are such numbers."""
    state = lively_state(spec)
    return {
        name: np.round(array * STEPS).astype(np.float32) / np.float32(STEPS) if name.endswith(".mean") else array
        for name, array in state.items()
    }


def with_biases(dialect: str, spec: NetworkSpec, state: dict[str, Array], *parts: str) -> dict[str, Array]:
    """The tensors of a network that gives the logits of `state`, with biases in these parts."""
    row = DIALECTS[dialect]
    kernels = {item.name: item for item in parameters(spec) if item.role in (Role.CONV, Role.DEPTHWISE)}
    biases: dict[str, Array] = {}
    changed = dict(state)
    for part in parts:
        mean = f"{part}.norm.mean"
        bias = np.random.default_rng(len(part)).integers(-STEPS, STEPS, state[mean].shape).astype(np.float32) / STEPS
        changed[mean] = state[mean] + bias
        kernel = kernels[f"{part}.conv.kernel"]
        layer = entry_of(row, spec, kernel, scope=spec.name).name.removesuffix(row.leaves[kernel.role])
        biases[layer + row.leaves[Role.BIAS]] = bias
    return in_dialect(dialect, spec, changed) | biases


@pytest.mark.parametrize("dialect", sorted(DIALECTS.keys() - OWN))
def test_biases_in_front_of_norms_are_taken_from_their_means(dialect: str, tmp_path: Path) -> None:
    spec, options = network(dialect), SourceOptions(dialect=dialect)
    state = coarse(spec)
    expected = opened(in_dialect(dialect, spec, state), options)
    tensors = with_biases(dialect, spec, state, "stem", "blocks.1.project")
    found = opened(tensors, options)
    assert equal(found.state(), state)
    assert found.spec == expected.spec
    assert digest(found) == digest(expected)
    assert [note for note in found.notes if note not in expected.notes] == [found.notes[-1]]
    assert found.notes[-1].startswith(NOTE)
    convert_checkpoint(found, tmp_path / "a.safetensors", TargetOptions(to="native", sync=False))
    with open_checkpoint(tmp_path / "a.safetensors") as back:
        assert equal(back.state(), state)
    [bias, *_] = tensors.keys() - in_dialect(dialect, spec, state).keys()
    assert digest(opened(tensors | {bias: tensors[bias] + 1}, options)) != digest(expected)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv_stem.bias", (4,)),  # of another length
        ("bn1.offset", (8,)),  # another tensor beside
        ("blocks.1.0.se.conv_reduce.scale", (8,)),
    ],
)
def test_any_other_tensor_is_unexpected(name: str, shape: tuple[int, ...]) -> None:
    spec = network("timm")
    tensors = with_biases("timm", spec, coarse(spec), "stem")
    with pytest.raises(CheckpointMismatch, match=r"Unexpected \([12]\):"):
        opened(tensors | {name: np.ones(shape, np.float32)}, SourceOptions(dialect="timm"))


def test_the_logits_are_those_of_the_network_with_biases(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    judge = pytest.importorskip("efficientnet_pytorch", reason="efficientnet_pytorch is not installed")
    spec = resolve("b0", num_classes=5)
    save_state(tmp_path / "whole.pth", spec, lively_state(spec), to="efficientnet-pytorch")
    model = judge.EfficientNet.from_name("efficientnet-b0", num_classes=5)
    model.load_state_dict(torch.load(tmp_path / "whole.pth"))
    model = model.double().eval()
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 3, 224, 224)))
    before = model(x).detach()
    torch.manual_seed(0)
    for layer in (model._conv_stem, model._blocks[1]._depthwise_conv):
        layer.bias = torch.nn.Parameter(torch.randn(layer.weight.shape[0], dtype=torch.float64))
    logits = model(x).detach()
    torch.save(model.state_dict(), tmp_path / "biased.pth")
    read = effnet.load_model(tmp_path / "biased.pth", backend="torch", dtype="float64").eval()
    largest = logits.abs().max()
    assert (read(x) - logits).abs().max() < 1e-11 * largest
    assert (before - logits).abs().max() > 1e-2 * largest  # the control: the biases matter
