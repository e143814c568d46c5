"""Heads that are not understood although a layer in them has the name of the classifier: none of it is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from converters import SourceOptions
from converters.checkpoint import Checkpoint
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import CheckpointMismatch, without_classifier
from tests.converters.memory import equal, in_dialect
from tests.heads import narrow
from tests.lively import lively_state

SPEC = without_classifier(narrow())
STATE = lively_state(SPEC)
assert SPEC.head is not None
C = SPEC.head.out_channels
DLFIP = "deep-learning-for-image-processing"


def understood(dialect: str, head: dict[str, tuple[int, ...]], options: SourceOptions | None = None) -> Checkpoint:
    """The network in `net.` with tensors of these shapes behind it."""
    arrays: dict[str, NDArray[np.generic]] = {
        f"net.{name}": array for name, array in in_dialect(dialect, SPEC, STATE).items()
    }
    arrays |= {f"net.{name}": np.ones(shape, np.float32) for name, shape in head.items()}
    reader = MemoryReader(arrays, path=Path("memory"), format="memory")
    return understand(reader, options or SourceOptions(dialect=dialect))


def dense(layer: str, inputs: int = C, outputs: int = 5) -> dict[str, tuple[int, ...]]:
    return {f"{layer}.weight": (outputs, inputs), f"{layer}.bias": (outputs,)}


def vectors(layer: str, channels: int, *leaves: str) -> dict[str, tuple[int, ...]]:
    return {f"{layer}.{leaf}": (channels,) for leaf in leaves}


UNKNOWN = {
    "layer norm first": vectors("classifier.0", C, "weight", "bias") | dense("classifier.1"),
    "layer norm last": dense("classifier.1") | vectors("classifier.2", 5, "weight", "bias"),
    "batch norm last": dense("classifier.1")
    | vectors("classifier.2", 5, "weight", "bias", "running_mean", "running_var"),
    "batch norm of no weights": vectors("classifier.0", C, "running_mean", "running_var") | dense("classifier.1"),
    "a trained activation": dense("classifier.0", C, 7) | {"classifier.1.weight": (1,)} | dense("classifier.2", 7, 5),
    "a layer by a name": dense("classifier.1") | {"classifier.scale": (5,)},
    "layers that belong to no chain": dense("classifier.1") | dense("classifier.4", 9, 3),
}


@pytest.mark.parametrize("dialect", ["torchvision", DLFIP])
@pytest.mark.parametrize("kind", UNKNOWN)
def test_layers_that_stand_with_the_classifier_leave_with_it(kind: str, dialect: str) -> None:
    head = UNKNOWN[kind]
    if (kind, dialect) == ("batch norm of no weights", DLFIP):  # either layer could be its classifier
        with pytest.raises(CheckpointMismatch, match=r"net\.classifier\.0\.running_mean"):
            understood(dialect, head)
        return
    found = understood(dialect, head)
    assert found.spec == understood(dialect, {}).spec
    assert found.spec.classifier is None
    assert equal(found.state(), STATE)
    assert {name.removeprefix("net.") for name in found.ignored} >= {*head}
    reasons = {found.ignored[f"net.{name}"] for name in head}
    assert reasons == {"of a head behind the network of which it is not known what it computes"}
    [note] = [note for note in found.notes if "Left out" in note]
    assert note.startswith(f"Left out the whole head, {len(head)} tensors: net.classifier.")
    assert any("the network gives features" in note for note in found.notes)


def test_what_is_added_to_the_classifier_s_own_layer_leaves_with_it() -> None:
    added = {"classifier.down.weight": (2, C), "classifier.up.weight": (5, 2)}
    assert understood("timm", dense("classifier")).spec.classifier is not None
    found = understood("timm", dense("classifier") | added)
    assert found.spec.classifier is None
    assert any(note.startswith("Left out the whole head, 4 tensors") for note in found.notes)


@pytest.mark.parametrize(
    ("dialect", "classifier"), [("torchvision", "classifier.1"), (DLFIP, "classifier.0"), ("timm", "classifier")]
)
def test_what_stands_elsewhere_leaves_the_classifier_as_it_is(dialect: str, classifier: str) -> None:
    for other in ({"temperature": ()}, vectors("norm", 5, "weight", "bias"), dense("classifiers.1")):
        found = understood(dialect, dense(classifier) | other)
        assert found.spec.classifier is not None
        assert found.spec.classifier.num_classes == 5
        [note] = [note for note in found.notes if "Left out" in note]
        assert note.startswith(f"Left out {len(other)} tensor")
        assert "no part of the network" in note


def test_both_kinds_of_tensors_are_told() -> None:
    found = understood("torchvision", UNKNOWN["layer norm first"] | {"temperature": ()})
    head, other = (note for note in found.notes if "Left out" in note)
    assert head.startswith("Left out the whole head, 4 tensors")
    assert "temperature" not in head.partition(". ")[0]
    assert other == "Left out 1 tensor, no part of the network: net.temperature."


def test_who_says_the_number_of_classes_is_told_that_no_classifier_is_taken() -> None:
    options = SourceOptions(dialect="torchvision", num_classes=5)
    with pytest.raises(CheckpointMismatch, match=r"classifier\.1"):
        understood("torchvision", UNKNOWN["layer norm first"], options)
