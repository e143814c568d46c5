"""Heads of other people's models whose layers lack a bias, a gamma or a beta: every file gives their logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")
foreign = pytest.importorskip("efficientnet_pytorch", reason="the package efficientnet_pytorch is not installed")

import effnet
from converters import SourceOptions, convert, digest, open_checkpoint, save_state
from converters.formats import keras_archive
from converters.formats._keras_configured import norm_leaves
from tests.foreign import test_small_heads_torch as of_torch
from tests.foreign.narrow_keras import BOUND, PIXELS, SIZE, backbone, distance, make_lively

layers = keras.layers
BIAS = "classifier.bias"


def pooled(*more: Any) -> list[Any]:
    return [layers.GlobalAveragePooling2D(), *more]


def last(**options: Any) -> Any:
    return layers.Dense(4, **options)


def norm(**options: Any) -> Any:
    return layers.BatchNormalization(epsilon=0.05, **options)


HEADS: dict[str, tuple[Callable[[], list[Any]], set[str]]] = {
    "a classifier": (lambda: pooled(last(use_bias=False)), {BIAS}),
    "one with the name of the network's own": (lambda: pooled(last(use_bias=False, name="predictions")), {BIAS}),
    "one behind a hidden layer": (lambda: pooled(layers.Dense(6, activation="relu"), last(use_bias=False)), {BIAS}),
    "a norm without gamma": (lambda: pooled(norm(scale=False), last()), {"hidden.0.gamma"}),
    "a norm without beta": (lambda: pooled(norm(center=False), last()), {"hidden.0.beta"}),
    "a norm without either": (
        lambda: pooled(norm(center=False, scale=False), last(use_bias=False)),
        {"hidden.0.gamma", "hidden.0.beta", BIAS},
    ),
    "axes of the image that are kept": (
        lambda: [layers.GlobalAveragePooling2D(keepdims=True), layers.Flatten(), last()],
        set(),
    ),
    "axes that are kept to the end": (
        lambda: [layers.GlobalMaxPooling2D(keepdims=True), norm(), last(use_bias=False), layers.Flatten()],
        {BIAS},
    ),
}
"""Layers behind the network, and what they do without."""


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kind", HEADS)
def test_a_keras_model_keeps_its_logits(kind: str, suffix: str, tmp_path: Path) -> None:
    made, lacks = HEADS[kind]
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), backbone(), *made()])
    make_lively(model)
    path, target = tmp_path / f"m{suffix}", tmp_path / "a.safetensors"
    model.save(path)
    logits = model(PIXELS).numpy()
    report = convert(path, target, sync=False)
    assert len([note for note in report.notes if "taken for it" in note]) == len(lacks)
    assert distance(target, logits, "torch") < BOUND
    with open_checkpoint(path) as one, open_checkpoint(target) as two:
        assert digest(one) == digest(two)
        spec, state = two.spec, two.state()
    convert(target, tmp_path / "back.weights.h5", sync=False)
    assert distance(tmp_path / "back.weights.h5", logits, "tf") < BOUND
    for name in lacks:  # the controls: other numbers in the tensors that were added
        assert set(np.unique(state[name])) == {float(name.endswith("gamma"))}
        ramp = np.linspace(0, 1, state[name].size, dtype=np.float32)
        save_state(tmp_path / "c.safetensors", spec, state | {name: state[name] + ramp}, sync=False, overwrite=True)
        assert distance(tmp_path / "c.safetensors", logits, "torch") > 100 * BOUND


def test_three_vectors_of_a_file_of_weights_are_explained(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), backbone(), *pooled(norm(scale=False), last())])
    model.save_weights(tmp_path / "m.weights.h5")
    with open_checkpoint(tmp_path / "m.weights.h5") as found:
        assert found.spec.classifier is None
        [note] = [note for note in found.notes if "Left out" in note]
    assert "BatchNormalization with scale=False or with center=False" in note
    assert "subclassed" not in note


@pytest.mark.parametrize("has_bias", [False, True])
def test_of_a_dense_layer_without_bias_the_activation_is_behind_the_norm(has_bias: bool, tmp_path: Path) -> None:
    """A guess without a configuration; with a bias it is the other one."""
    norm, act = layers.BatchNormalization(), layers.Activation("relu")
    head = pooled(layers.Dense(6, use_bias=has_bias), norm, act, last())
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), backbone(), *head])
    make_lively(model)
    model.save_weights(tmp_path / "m.weights.h5")
    with open_checkpoint(tmp_path / "m.weights.h5") as found:
        assert any("is a guess, relu" in note for note in found.notes)
    away = distance(tmp_path / "m.weights.h5", model(PIXELS).numpy(), "torch")
    assert away > 100 * BOUND if has_bias else away < BOUND


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_torch_model_keeps_its_logits(is_wrapped: bool, tmp_path: Path) -> None:
    model = of_torch.Own(inner=torch.nn.ReLU) if is_wrapped else of_torch.replaced(inner=torch.nn.ReLU)
    inputs = of_torch.SPEC.head.out_channels if is_wrapped else model._fc[1].in_features
    setattr(model, "head" if is_wrapped else "_fc", torch.nn.Linear(inputs, 5, bias=False))
    of_torch.make_lively(model)
    torch.save(model.state_dict(), tmp_path / "a.pth")
    report = convert(tmp_path / "a.pth", tmp_path / "b.safetensors", sync=False)
    assert any("has no bias: zeros are taken for it" in note for note in report.notes)
    assert {tensor.name for tensor in effnet.inspect(tmp_path / "a.pth").tensors} == {*model.state_dict()}
    assert of_torch.distance(tmp_path / "b.safetensors", model) < of_torch.BOUND
    assert of_torch.distance(tmp_path / "a.pth", model, SourceOptions(num_classes=5)) < of_torch.BOUND
    shifted = torch.nn.Linear(inputs, 5)  # the control: the same kernel with a bias
    shifted.weight = (model.head if is_wrapped else model._fc).weight
    setattr(model, "head" if is_wrapped else "_fc", shifted)
    assert of_torch.distance(tmp_path / "b.safetensors", model) > 100 * of_torch.BOUND


def test_many_norms_read_the_configuration_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(text: str) -> Any:
        read.append(text)
        return norm_leaves(text)

    monkeypatch.setattr(keras_archive, "norm_leaves", counted)
    norms = [layers.BatchNormalization(scale=False) for _ in range(5)]
    keras.Sequential([keras.Input((4,)), *norms]).save(tmp_path / "norms.keras")
    with keras_archive.KerasArchiveReader(tmp_path / "norms.keras") as reader:
        assert sum(name.endswith("/beta") for name in reader.tensors) == len(norms)
    assert len(read) == 1
