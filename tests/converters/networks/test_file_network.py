"""Who names a network whose definition stands in the file: a name says nothing of padding, epsilon and the like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters import SourceOptions, UnknownArchitecture
from converters.checkpoint import Checkpoint
from converters.memory import MemoryReader
from converters.metadata_keys import SPEC_KEY
from converters.opening import understand
from effnet_core import Activation, NetworkSpec, Padding, Pooling, norm_of, resolve, to_json
from tests.converters.memory import equal, in_dialect
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, depth=0.5, num_classes=10)
STATE = lively_state(SPEC)
NAMED = SourceOptions(arch="b0", width=0.13, depth=0.5)
assert SPEC.classifier is not None


def beside(definition: str, options: SourceOptions, spec: NetworkSpec = SPEC) -> Checkpoint:
    """The tensors of the network beside that definition."""
    arrays = in_dialect("effnet-torch", spec, lively_state(spec))
    reader = MemoryReader(arrays, path=Path("memory"), format="memory")
    reader.metadata = {SPEC_KEY: definition}
    return understand(reader, options)


CHANGED = {
    "padding": replace(SPEC, padding=Padding.SYMMETRIC),
    "epsilon": replace(SPEC, norm=replace(norm_of(SPEC, wanted="an epsilon"), epsilon=1e-5)),
    "activation": replace(SPEC, stem=replace(SPEC.stem, activation=Activation.RELU)),
    "pooling": replace(SPEC, classifier=replace(SPEC.classifier, pooling=Pooling.MAX)),
    "normalisation": replace(SPEC, preprocessing=replace(SPEC.preprocessing, mean=(1.0, 2.0, 3.0))),
    "strides": replace(SPEC, stem=replace(SPEC.stem, stride=1)),
}


@pytest.mark.parametrize("aspect", CHANGED)
def test_the_definition_holds_where_it_is_of_the_network_that_is_named(aspect: str) -> None:
    spec = CHANGED[aspect]
    assert spec != SPEC
    for options in (NAMED, SourceOptions(width=0.13), SourceOptions(dialect="effnet-torch")):
        found = beside(to_json(spec), options)
        assert found.spec == spec
        assert equal(found.state(), STATE)


@pytest.mark.parametrize("aspect", ["padding", "epsilon", "activation", "pooling", "normalisation"])
def test_a_definition_of_another_network_that_computes_otherwise_is_no_matter_to_pass_over(aspect: str) -> None:
    other = replace(CHANGED[aspect], name="efficientnet-b1")
    with pytest.raises(UnknownArchitecture, match=rf"{aspect}.*as you name it.*Leave --arch") as caught:
        beside(to_json(other), NAMED)
    assert len(str(caught.value)) < 700
    # The control: one that computes the same.
    assert beside(to_json(replace(SPEC, name="efficientnet-b1")), NAMED).spec.padding is SPEC.padding


def test_a_definition_of_other_tensors_is_told() -> None:
    found = beside(to_json(replace(resolve("b0"), padding=Padding.SYMMETRIC)), NAMED)
    assert (found.spec.blocks, found.spec.padding) == (SPEC.blocks, Padding.SAME)
    assert any("of another network, efficientnet-b0 (width 1, depth 1, 1000 classes)" in note for note in found.notes)


def test_a_definition_that_cannot_be_read_is_told() -> None:
    found = beside("{", NAMED)
    assert found.spec.blocks == SPEC.blocks
    assert any("cannot be read" in note for note in found.notes)


def test_who_says_recipe_and_classes_too() -> None:
    options = replace(NAMED, recipe="advprop", num_classes=10)
    found = beside(to_json(CHANGED["padding"]), options)
    assert (found.spec.padding, found.spec.preprocessing.recipe) == (Padding.SYMMETRIC, "advprop")
    assert np.all(np.array(found.spec.preprocessing.mean) == 127.5)
