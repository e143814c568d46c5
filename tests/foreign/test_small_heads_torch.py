"""PyTorch models of other people with a small head behind an EfficientNet: the converted file gives their logits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
foreign = pytest.importorskip("efficientnet_pytorch", reason="the package efficientnet_pytorch is not installed")

import effnet
import effnet_torch
from converters import Adaptation, SourceOptions, convert
from effnet_core import Activation, Pooling, resolve, without_classifier
from tests.lively import images, lively_state

SPEC = without_classifier(resolve("b0", width=0.13, depth=0.3))
X = images(2, 33, 47).transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
BOUND = 1e-5


def head(channels: int, *, inner: type[Any], epsilon: float = 1e-5) -> Any:
    nn = torch.nn
    norm = nn.BatchNorm1d(12, eps=epsilon)
    return nn.Sequential(nn.Dropout(0.3), nn.Linear(channels, 12), norm, inner(), nn.Dropout(0.2), nn.Linear(12, 5))


class Own(torch.nn.Module):
    """A network of this project inside another model."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.backbone = effnet_torch.create_model(SPEC, lively_state(SPEC), pooling=Pooling.AVERAGE)
        self.head = head(SPEC.head.out_channels, **options)

    def forward(self, x: Any) -> Any:
        return self.head(self.backbone(x))


def replaced(**options: Any) -> Any:
    """A network of efficientnet_pytorch whose classifier somebody replaced, as is usual when fine-tuning.

    Much narrower ones differ: it lacks residuals where a stage keeps the channels of the one before.
    """
    blocks, rest = foreign.utils.efficientnet(width_coefficient=0.5, depth_coefficient=0.3, image_size=None)
    model = foreign.EfficientNet(blocks, rest)
    model._dropout, model._fc = torch.nn.Identity(), head(model._fc.in_features, **options)
    return model


def make_lively(model: Any) -> Any:
    random = np.random.default_rng(0)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if not value.is_floating_point() or name.startswith("backbone."):
                continue
            shape = tuple(value.shape)
            if name.endswith("running_var"):
                new = random.uniform(0.4, 1.2, shape)
            elif len(shape) > 1:
                new = random.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
            else:
                new = random.normal(1 if "bn" in name and name.endswith("weight") else 0.1, 0.2, shape)
            value.copy_(torch.from_numpy(new))
    return model.eval()


def distance(path: Any, model: Any, options: SourceOptions | None = None) -> float:
    """The largest difference between logits, of the largest logit."""
    with torch.no_grad():
        expected = model(torch.from_numpy(X)).numpy()
        found = effnet.load_model(path, backend="torch", options=options).eval()(torch.from_numpy(X)).numpy()
    return float(np.abs(found - expected).max() / np.abs(expected).max())


MODELS = {"own backbone": Own, "efficientnet_pytorch": replaced}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("is_lightning", [False, True])
def test_the_logits_are_those_of_the_model(kind, is_lightning, tmp_path):
    model = make_lively(MODELS[kind](inner=torch.nn.ReLU))
    state = model.state_dict()
    if is_lightning:
        optimiser = torch.optim.Adam(model.parameters())
        wrapped = {f"model.{name}": value for name, value in state.items()}
        state = {
            "epoch": 3,
            "state_dict": wrapped | {"criterion.weight": torch.ones(5)},
            "optimizer_states": [optimiser.state_dict()],
        }
    torch.save(state, tmp_path / "a.pth")
    report = convert(tmp_path / "a.pth", tmp_path / "b.safetensors", sync=False)
    assert report.spec.classifier.num_classes == 5
    assert distance(tmp_path / "b.safetensors", model) < BOUND
    assert distance(tmp_path / "a.pth", model) < BOUND
    tanh = make_lively(MODELS[kind](inner=torch.nn.Tanh))
    assert distance(tmp_path / "b.safetensors", tanh) > 100 * BOUND  # the same weights, another activation


def test_another_head_is_reproduced_once_its_definition_is_given(tmp_path):
    model = make_lively(replaced(inner=torch.nn.Tanh, epsilon=0.1))
    torch.save(model.state_dict(), tmp_path / "a.pth")
    assert distance(tmp_path / "a.pth", model) > 100 * BOUND
    assumed = effnet.load_network(tmp_path / "a.pth").spec
    dense, norm, activation = assumed.classifier.hidden
    hidden = (dense, replace(norm, epsilon=0.1), replace(activation, activation=Activation.TANH))
    spec = replace(assumed, classifier=replace(assumed.classifier, hidden=hidden))
    assert distance(tmp_path / "a.pth", model, SourceOptions(spec=spec)) < BOUND


def test_without_its_head_the_network_gives_features(tmp_path):
    model = make_lively(Own(inner=torch.nn.ReLU))
    torch.save(model.state_dict(), tmp_path / "a.pth")
    bare = effnet.load_model(tmp_path / "a.pth", backend="torch", adaptation=Adaptation(drop_head=True)).eval()
    assert bare.spec == SPEC
    with torch.no_grad():
        found, expected = (one(torch.from_numpy(X)).numpy() for one in (bare, model.backbone))
    assert np.array_equal(found, expected)
    assert np.abs(found).max() > 0.1
