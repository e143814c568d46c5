"""Weights that PyTorch keeps as something else: the error says what they are and how to undo it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from converters import UnsupportedFile
from converters.formats.base import Array
from effnet_core import resolve
from tests.converters.memory import equal, in_dialect, opened
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, depth=0.5, num_classes=10)
STATE = lively_state(SPEC)
LAYERS = {
    "timm": ("conv_stem", "blocks.0.0.conv_dw", "conv_head", "classifier"),
    "torchvision": ("features.0.0", "features.2.0.block.1.0", "classifier.1"),
    "efficientnet-pytorch": ("_conv_stem", "_blocks.0._depthwise_conv", "_fc"),
}
KINDS = {
    "weight_norm": (("weight_g", "weight_v"), "weight normalisation.*remove_weight_norm"),
    "weight_norm, new": (
        ("parametrizations.weight.original0", "parametrizations.weight.original1"),
        "weight normalisation.*remove_parametrizations",
    ),
    "spectral_norm": (("weight_orig", "weight_u", "weight_v"), "spectral normalisation.*remove_spectral_norm"),
    "spectral_norm, new": (
        ("parametrizations.weight.original", "parametrizations.weight.0._u", "parametrizations.weight.0._v"),
        "spectral normalisation.*remove_parametrizations",
    ),
    "pruning": (("weight_orig", "weight_mask"), r"pruned weights.*prune\.remove"),
    "fake quantisation": (("weight", "weight_fake_quant.scale"), r"fake quantisation.*before prepare_qat"),
    "other": (("parametrizations.weight.original",), "under a parametrisation.*remove_parametrizations"),
    "peft": (("base_layer.weight", "lora_A.default.weight", "lora_B.default.weight"), "LoRA.*merge_and_unload"),
    "loralib": (("weight", "lora_A", "lora_B"), "LoRA.*merge_and_unload"),
}


def kept_as(leaves: tuple[str, ...], arrays: dict[str, Array], layer: str) -> dict[str, Array]:
    weight = arrays.pop(f"{layer}.weight")
    return arrays | {f"{layer}.{leaf}": weight for leaf in leaves}


@pytest.mark.parametrize("prefix", ["", "base_model.model."])
@pytest.mark.parametrize(("dialect", "layer"), [(name, layer) for name, layers in LAYERS.items() for layer in layers])
@pytest.mark.parametrize("kind", KINDS)
def test_the_error_says_what_it_is(kind: str, dialect: str, layer: str, prefix: str) -> None:
    leaves, message = KINDS[kind]
    arrays = {prefix + name: array for name, array in in_dialect(dialect, SPEC, STATE).items()}
    with pytest.raises(UnsupportedFile, match=message) as caught:
        opened(kept_as(leaves, arrays, prefix + layer))
    assert prefix + layer in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_beside_the_network_may_keep_its_weights_so(kind: str) -> None:
    leaves, _ = KINDS[kind]
    beside = {f"decoder.conv.{leaf}": np.ones((4, 4, 1, 1), np.float32) for leaf in leaves}
    arrays = {f"net.{name}": array for name, array in in_dialect("timm", SPEC, STATE).items()}
    assert equal(opened(arrays | beside).state(), STATE)


def test_every_convolution_and_dense_layer_at_once() -> None:
    arrays = in_dialect("torchvision", SPEC, STATE)
    kernels = [name for name, array in arrays.items() if array.ndim in (2, 4)]
    for name in kernels:
        arrays = kept_as(("parametrizations.weight.original0", "parametrizations.weight.original1"), arrays, name[:-7])
    with pytest.raises(UnsupportedFile, match=f"{2 * len(kernels)} tensors such as classifier.1.par"):
        opened(arrays)


def of_torch(kind: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What PyTorch does to a layer, and what undoes it."""
    utils = importlib.import_module("torch.nn.utils")

    def undone(layer: Any) -> Any:
        return utils.parametrize.remove_parametrizations(layer, "weight")

    def pruned(layer: Any) -> Any:
        return utils.prune.l1_unstructured(layer, "weight", amount=0.3)

    def whole(layer: Any) -> Any:
        return utils.prune.remove(layer, "weight")

    pairs: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        "weight_norm": (utils.weight_norm, utils.remove_weight_norm),
        "weight_norm, new": (utils.parametrizations.weight_norm, undone),
        "spectral_norm": (utils.spectral_norm, utils.remove_spectral_norm),
        "spectral_norm, new": (utils.parametrizations.spectral_norm, undone),
        "pruning": (pruned, whole),
    }
    return pairs[kind]


@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")  # the older functions of PyTorch
@pytest.mark.parametrize("kind", ["weight_norm", "weight_norm, new", "spectral_norm", "spectral_norm, new", "pruning"])
def test_what_torch_itself_writes(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    importlib.import_module("torch.nn.utils.prune")
    model = importlib.import_module("effnet_torch").create_model(SPEC, STATE)
    apply, undo = of_torch(kind)
    convolutions = [layer for layer in model.modules() if isinstance(layer, torch.nn.Conv2d)]
    for layer in convolutions:
        apply(layer)
    with pytest.raises(UnsupportedFile, match=KINDS[kind][1]):
        opened({name: tensor.numpy() for name, tensor in model.state_dict().items()})
    for layer in convolutions:  # the control: what the message says helps
        undo(layer)
    arrays = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    assert opened(arrays).spec.name == SPEC.name
