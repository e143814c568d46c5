"""What a PyTorch model does before the network in it, as far as names tell."""

from __future__ import annotations

import numpy as np
import pytest

from converters import SourceOptions
from effnet_core import resolve, without_classifier
from tests.converters.memory import equal, in_dialect, opened
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, depth=0.5, num_classes=10)
STATE = lively_state(SPEC)
NUMBERS = np.asarray([0.4, 0.5, 0.6], np.float32)
SEQUENTIAL = "stand in front of the network, in the same nn.Sequential"
BY_NAME = "may normalise images before the network"


def notes(prefix: str, *others: str, dialect: str = "timm") -> str:
    arrays = {prefix + name: array for name, array in in_dialect(dialect, SPEC, STATE).items()}
    found = opened({**dict.fromkeys(others, NUMBERS), **arrays})
    assert equal(found.state(), STATE)
    return " ".join(found.notes)


@pytest.mark.parametrize(
    ("prefix", "other"), [("1.", "0.weight"), ("net.2.", "net.1.scale"), ("net.10.", "net.9.conv.weight")]
)
def test_layers_before_it_in_a_sequential_module(prefix: str, other: str) -> None:
    assert SEQUENTIAL in notes(prefix, other)


@pytest.mark.parametrize(
    ("prefix", "other"), [("0.", "1.scale"), ("net.2.", "net.3.scale"), ("net.2.", "1.scale"), ("net.", "0.scale")]
)
def test_layers_elsewhere(prefix: str, other: str) -> None:
    found = notes(prefix, other)
    assert f"{other}." in found
    assert SEQUENTIAL not in found
    assert BY_NAME not in found


@pytest.mark.parametrize("names", [("mean", "std"), ("mu", "sigma"), ("norm.pixel_mean", "norm._std")])
def test_numbers_that_normalise_by_their_names(names: tuple[str, ...]) -> None:
    found = notes("model.", *names)
    assert f"By their names, {', '.join(names)} {BY_NAME}" in found
    assert BY_NAME not in notes("model.", *(f"{name}ing" for name in names))


@pytest.mark.parametrize("prefix", ["", "0.", "backbone."])
def test_torchvision_s_features_alone(prefix: str) -> None:
    """`model.features`, and `nn.Sequential(*model.children())`, have no word `features`."""
    body = without_classifier(SPEC)
    whole = in_dialect("torchvision", body, {name: STATE[name] for name in lively_state(body)})
    arrays = {prefix + name.removeprefix("features."): array for name, array in whole.items()}
    assert not any("features" in name for name in arrays)
    found = opened(arrays, SourceOptions(arch="b0", width=0.13, depth=0.5))
    assert (found.dialect.name, found.spec.padding, found.spec.classifier) == ("torchvision", "symmetric", None)
    assert equal(found.state(), {name: STATE[name] for name in lively_state(body)})
    other = opened({f"features.{name}": array for name, array in arrays.items()} if not prefix else whole)
    assert equal(other.state(), found.state())
