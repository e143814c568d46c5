"""Fields of transformers' configuration that change logits: read where a definition has them, else refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from converters import SourceOptions, UnknownArchitecture
from converters.checkpoint import Checkpoint
from converters.dialects._huggingface_config import companions
from converters.dialects._huggingface_reading import configured
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import Norm, Pooling, resolve
from tests.converters.memory import in_dialect
from tests.lively import lively_state

NARROW = resolve("b0", width=0.4, depth=0.3, num_classes=10)
STATE = in_dialect("huggingface", NARROW, lively_state(NARROW))
SAID = json.loads(companions(NARROW)["config.json"])


def beside(options: SourceOptions | None = None, **fields: object) -> Checkpoint:
    """The tensors beside a config.json with other fields."""
    reader = MemoryReader(STATE, path=Path("memory"), format="memory")
    reader.metadata = {"config.json": json.dumps(SAID | fields)}
    return understand(reader, options or SourceOptions())


USUAL = beside()
NAMED = SourceOptions(arch="b0", width=0.4, depth=0.3)


def test_a_maximum_is_written_and_read() -> None:
    maximum = replace(NARROW, classifier=replace(NARROW.classifier, pooling=Pooling.MAX))
    files = companions(maximum)
    assert (json.loads(files["config.json"])["pooling_type"], SAID["pooling_type"]) == ("max", "mean")
    assert configured(NARROW, files).spec.classifier == maximum.classifier


def pooled(checkpoint: Checkpoint) -> Pooling:
    assert checkpoint.spec.classifier is not None
    return checkpoint.spec.classifier.pooling


def test_the_pooling_is_read() -> None:
    found = beside(pooling_type="max")
    assert (pooled(found), pooled(USUAL)) == (Pooling.MAX, Pooling.AVERAGE)
    assert any("pooling_type='max', and so the network is taken" in note for note in found.notes)
    assert not any("pooling" in note for note in USUAL.notes)
    said = beside(SourceOptions(dialect="huggingface"), pooling_type="max")
    assert said.spec == found.spec


def test_the_pooling_of_features_is_said() -> None:
    features = replace(NARROW, classifier=None)
    for pooling, count in (("max", 1), ("mean", 0)):
        found = configured(features, {"config.json": json.dumps(SAID | {"pooling_type": pooling})})
        assert (found.spec.classifier, found.refusal) == (None, None)
        assert len([note for note in found.notes if "they are averaged unless pooling='max'" in note]) == count


@pytest.mark.parametrize(
    "fields",
    [
        {"hidden_act": "silu"},
        {"hidden_act": None, "pooling_type": None, "strides": None, "batch_norm_eps": None},
        {"batch_norm_momentum": 0.99},
        {"squeeze_expansion_ratio": 0.5, "expand_ratios": "x"},  # shapes tell
        {"image_size": [224, 224]},
    ],
)
def test_other_words_for_the_usual_network(fields: dict[str, object]) -> None:
    found = beside(**fields)
    assert (found.spec, found.notes) == (USUAL.spec, USUAL.notes)


def test_the_epsilon_is_read() -> None:
    assert beside(batch_norm_eps=1e-5).spec == replace(USUAL.spec, norm=Norm(epsilon=1e-5, decay=0.99))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"pooling_type": "median"}, "'mean' or 'max'"),
        ({"pooling_type": ["max"]}, "'mean' or 'max'"),
        ({"hidden_act": "relu"}, "'swish' or 'silu'"),
        ({"hidden_act": "gelu"}, "'swish' or 'silu'"),
        ({"hidden_act": 1}, "'swish' or 'silu'"),
        ({"strides": [1, 2, 2, 1, 1, 2, 1]}, r"\[1, 2, 2, 2, 1, 2, 1\], those of efficientnet-b0"),
        ({"strides": [1, 2, 2, 2, 1, 2]}, "those of efficientnet-b0"),
        ({"strides": "1222121"}, "those of efficientnet-b0"),
        ({"batch_norm_eps": -1}, "a small number above 0"),
        ({"batch_norm_eps": "x"}, "a small number above 0"),
        ({"batch_norm_eps": 1e999}, "a small number above 0"),
    ],
)
def test_what_has_no_definition_is_refused(fields: dict[str, object], expected: str) -> None:
    name = next(iter(fields))
    with pytest.raises(UnknownArchitecture, match=f"made with {name}=.*expected .*{expected}.*--from huggingface"):
        beside(**fields)
    said = beside(SourceOptions(dialect="huggingface"), **fields)
    assert said.spec == USUAL.spec
    assert any("Passed over, as --from says" in note and f"{next(iter(fields))}=" in note for note in said.notes)
    # Who names the network says nothing of what it was made with.
    with pytest.raises(UnknownArchitecture, match=expected):
        beside(NAMED, **fields)
    assert beside(NAMED).spec == USUAL.spec


@pytest.mark.parametrize(
    "fields",
    [{"image_size": "x"}, {"image_size": [224, 256]}, {"image_size": -1}, {"depthwise_padding": ["1"]}],
)
def test_sizes_that_make_no_sense_are_said(fields: dict[str, object]) -> None:
    found = beside(**fields)
    assert found.spec == USUAL.spec
    assert len([note for note in found.notes if f"has the {next(iter(fields))}" in note]) == 1


def test_padding_that_is_not_there_is_none_at_all() -> None:
    for name, told in (("b0", False), ("b1", True)):
        notes = configured(resolve(name), {"config.json": '{"model_type": "efficientnet"}'}).notes
        assert any("has no depthwise_padding" in note for note in notes) is told
