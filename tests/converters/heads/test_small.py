"""Small heads that people put behind a network: which are found, what is assumed, which are left out and why."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters import Adaptation, SourceOptions, adapt, diff, digest, open_checkpoint, save_state
from converters.convert import TargetOptions, convert_checkpoint
from converters.heads.layers import NoSmallHead, UnclearHead
from converters.memory import MemoryReader
from converters.names.naming import Unnamed
from converters.opening import understand
from effnet_core import (
    Activation,
    CheckpointMismatch,
    HiddenActivation,
    InvalidOption,
    Pooling,
    without_head,
)
from tests.converters.heads.small_head_cases import SPEC, STATE, C, layers_in, summary, understood
from tests.converters.memory import equal, in_dialect
from tests.heads import narrow
from tests.lively import lively_state

DLFIP = "deep-learning-for-image-processing"
TAKEN = [
    ("timm", {"fc": (C, 3)}, "3 classes"),
    ("timm", {"head.0": (C, 7), "head.2": (7, 3)}, "d7+relu 3 classes"),
    ("timm", {"head.0": (C, 7), "head.1": (7, 3)}, "d7 3 classes"),
    ("timm", {"classifier.1": (C, 7), "classifier.4": (7, 3)}, "d7+relu 3 classes"),
    ("timm", {"head.0": C, "head.2": (C, 3)}, f"n{C} 3 classes"),
    ("timm", {"head.0": (C, 7), "head.1": 7, "head.4": (7, 3)}, "d7 n7 relu 3 classes"),
    ("timm", {"head.0": (C, 7), "head.2": 7, "head.4": (7, 3)}, "d7+relu n7 3 classes"),
    ("timm", {"head.0": (C, 7), "head.1": 7, "head.2": (7, 3)}, "d7 n7 3 classes"),
    ("timm", {"fc1": (C, 7), "bn1_": 7, "fc2": (7, 3)}, "d7 n7 relu 3 classes"),
    ("timm", {"fc2": (7, 3), "fc1": (C, 7)}, "d7+relu 3 classes"),
    ("timm", {"fc3": (7, 3), "fc2": (7, 7), "fc1": (C, 7)}, "d7+relu d7+relu 3 classes"),
    ("torchvision", {"classifier.1": (C, 7), "classifier.4": (7, 3)}, "d7+relu 3 classes"),
    ("torchvision", {"classifier.0": (C, 7), "classifier.1": 7, "classifier.3": (7, 3)}, "d7 n7 relu 3 classes"),
    (
        "deep-learning-for-image-processing",
        {"classifier.0": (C, 7), "classifier.1": 7, "classifier.3": (7, 3)},
        "d7 n7 relu 3 classes",
    ),
    ("efficientnet-pytorch", {"_fc.0": (C, 7), "_fc.3": (7, 3)}, "d7+relu 3 classes"),
    ("keras-applications", {"dense": (C, 7), "batch_normalization": 7, "dense_1": (7, 3)}, "d7+relu n7 3 classes"),
    ("qubvel", {"dense": (C, 7), "dense_1": (7, 7), "dense_2": (7, 3)}, "d7+relu d7+relu 3 classes"),
]
"""Dialect, layers behind the network, what they are taken for."""


def separator_of(dialect):
    return "/" if dialect in ("keras-applications", "qubvel") else "."


@pytest.mark.parametrize(("dialect", "rows", "expected"), TAKEN)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_small_head_is_taken(dialect, rows, expected, is_wrapped):
    separator = separator_of(dialect)
    head = layers_in(separator, rows)
    owned = is_wrapped and any(path.startswith(("classifier", "_fc")) for path in rows)
    inside = f"model{separator}" if is_wrapped else ""
    head = {(inside if owned else "") + name: array for name, array in head.items()}
    found = understood(head, dialect=dialect, prefix=inside, options=SourceOptions(dialect=dialect))
    assert summary(found.spec.classifier) == expected
    assert found.spec.classifier.pooling is Pooling.AVERAGE
    assert not {*head} & {*found.ignored}
    assert {source.name for source in found.sources} >= {*head}
    state = found.state()
    assert equal({name: state[name] for name in STATE}, STATE)
    for source in found.sources[len(STATE) :]:
        array = head[source.name]
        is_turned = separator == "." and array.ndim == 2
        assert np.array_equal(state[source.entry.parameter.name], array.T if is_turned else array)
        assert not (is_turned and array.shape == state[source.entry.parameter.name].shape and array.shape[0] != 7)
    assert any("stands a head" in note for note in found.notes)
    [assumed] = [note for note in found.notes if "assumed average pooling" in note]
    assert "--spec" in assumed
    assert "--head-activation" in assumed
    assert ("relu behind" in assumed) is ("relu" in expected)
    guesses = [note for note in found.notes if "is a guess, relu" in note and "--head-activation" in note]
    assert len(guesses) == ("relu" in expected)
    assert not any("Left out" in note or "gives features" in note for note in found.notes)


BEHIND_ITS_OWN = [
    ("efficientnet-pytorch", {"_fc": (C, 7), "fc": (7, 3)}, "d7{} 3 classes"),
    ("efficientnet-pytorch", {"_fc": (C, 7), "bn": 7, "fc": (7, 3)}, "d7 n7{} 3 classes"),
    ("timm", {"classifier": (C, 7), "head": (7, 3)}, "d7{} 3 classes"),
    ("keras-applications", {"predictions": (C, 7), "dense": (7, 3)}, "d7{} 3 classes"),
]
"""Layers behind a classifier that was whole without them, and what they are with an activation in the place of {}."""


@pytest.mark.parametrize(("dialect", "rows", "expected"), BEHIND_ITS_OWN)
def test_behind_the_networks_own_classifier_nothing_is_assumed(dialect, rows, expected):
    head = layers_in(separator_of(dialect), rows)
    with pytest.raises(UnclearHead, match=r"(?s)memory: Behind the network's own classifier, .*--head-activation none"):
        understood(head, dialect=dialect, options=SourceOptions(dialect=dialect))
    for said in ("none", "relu", "tanh"):
        options = SourceOptions(dialect=dialect, head_activation=said)
        found = understood(head, dialect=dialect, options=options)
        activation = "" if said == "none" else f" {said}" if " n7" in expected else f"+{said}"
        assert summary(found.spec.classifier) == expected.format(activation)
        [note] = [note for note in found.notes if note.startswith("As you said, there is ")]
        assert ("no activation behind" if said == "none" else f"{said} behind") in note
    alone = adapt(found, Adaptation(drop_head=True))
    assert equal(alone.state(), STATE)


def test_what_stands_between_dense_layers_can_be_said():
    head = layers_in(".", {"head.0": (C, 7), "head.2": (7, 3)})
    for said, expected in (("none", "d7 3 classes"), ("swish", "d7+swish 3 classes")):
        found = understood(head, options=SourceOptions(head_activation=said))
        assert summary(found.spec.classifier) == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "no dense layers behind one another"),
        ({"fc": (C, 3)}, "no two dense layers"),
        ({"head.0": (C, 7), "head.1": (7, 3)}, "no two dense layers"),
        ({"a": (C, 3), "b": (C, 5)}, "2 dense layers take"),
    ],
)
def test_an_activation_without_a_place_is_refused(rows, message):
    understood(layers_in(".", rows))
    with pytest.raises(InvalidOption, match=message):
        understood(layers_in(".", rows), options=SourceOptions(head_activation="relu"))


def test_an_activation_that_there_is_not():
    with pytest.raises(InvalidOption, match="'gelu'; expected none or one of swish, relu6"):
        SourceOptions(head_activation="gelu")


LEFT = [
    ({"a": (C, 3), "b": (C, 5)}, "2 dense layers take"),
    ({"a": (C, 3), "b": (9, 5)}, "no order makes one chain"),
    ({"a": (C + 1, 3)}, f"no dense layer takes the network's {C} features"),
    ({"a": (C, 3), "b": 3}, "b, a norm, is the last"),
    ({"a": (C, 3), "b": 9}, "b normalises 9 channels"),
    ({"b": C}, "none of them is the kernel"),
    ({"z": (C, 7), "y": (7, 7), "x": (7, 7), "w": (7, 3)}, "do not tell in which order"),
    ({"z": (C, 7), "n": 7, "m": 7, "w": (7, 3)}, "do not tell in which order"),
    ({f"head.{number}": (C, C) for number in range(6)}, "at most 5"),
]


def sorted_by_name(found):
    return dict(sorted(found.items()))


@pytest.mark.parametrize(("rows", "reason"), LEFT)
def test_what_is_no_small_head_is_left_out_with_the_reason(rows, reason):
    head = layers_in(".", rows)
    body = {f"net.{name}": array for name, array in in_dialect("timm", SPEC, STATE).items()}
    arrays = sorted_by_name(body | head)  # as safetensors has them: the order of the file tells nothing
    found = understand(MemoryReader(arrays, path=Path("memory"), format="memory"), SourceOptions())
    assert found.spec.classifier is None
    assert equal(found.state(), STATE)
    (note,) = (note for note in found.notes if "Left out" in note)
    assert f"Left out {len(head)} tensors" in note
    assert reason in note
    assert {*head} <= {*found.ignored}


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("head.0.weight", (3, C, 1, 1)),
        ("norm.weight", (C,)),
        ("scale", ()),
        ("decoder.0.weight", (4, 4, 3, 3)),
        ("embed.rows", (C, 4)),
    ],
)
def test_beside_another_layer_no_head_is_taken(name, shape):
    head = layers_in(".", {"fc": (C, 3)})
    assert summary(understood(head).spec.classifier) == "3 classes"
    found = understood({**head, name: np.ones(shape, np.float32)})
    assert found.spec.classifier is None
    assert any("belongs to no dense layer or norm" in note for note in found.notes)


@pytest.mark.parametrize(
    "beside",
    [
        {"criterion.weight": np.ones(3, np.float32)},
        {"model.loss_fn.weight": np.ones(3, np.float32)},
        {"step": np.array(3)},
    ],
)
def test_what_is_of_training_only_does_not_matter(beside):
    found = understood(layers_in(".", {"fc": (C, 3)}) | beside, prefix="model.")
    assert summary(found.spec.classifier) == "3 classes"
    assert {*beside} <= {*found.ignored}
    assert any(f"Left out 1 tensor, no part of the network: {next(iter(beside))}." in note for note in found.notes)


def test_the_order_of_the_file_decides_where_widths_do_not():
    rows = {"z": (C, 7), "y": (7, 7), "m": 7, "x": (7, 7), "w": (7, 3)}
    found = understood(layers_in(".", rows))
    assert [source.name for source in found.sources if source.name.endswith("weight")][-5:] == [
        f"{path}.weight" for path in rows
    ]
    back = understood(layers_in(".", {"z.2": (C, 7), "z.1": (7, 7), "z.0": (7, 7), "w": (7, 3)}))
    assert back.spec.classifier is None


def test_numbers_in_names_decide_where_neither_widths_nor_the_file_do():
    rows = {"head.0": (C, 7), "head.2": (7, 7), "head.10": (7, 7), "head.12": (7, 3)}
    body = {f"net.{name}": array for name, array in in_dialect("timm", SPEC, STATE).items()}
    arrays = sorted_by_name(body | layers_in(".", rows))
    found = understand(MemoryReader(arrays, path=Path("memory"), format="memory"), SourceOptions())
    kernels = [source.name for source in found.sources if source.name.startswith("head.")][::2]
    assert kernels == [f"{path}.weight" for path in rows] != sorted(kernels)


def test_a_network_that_gives_feature_maps_has_no_small_head():
    spec = without_head(narrow())
    last = spec.blocks[-1].out_channels
    found = understood(layers_in(".", {"fc": (last, 3)}), spec=spec)
    assert (found.spec.head, found.spec.classifier) == (None, None)
    assert any("several feature maps" in note for note in found.notes)


def test_a_second_dense_layer_on_the_features_leaves_the_classifier_as_it_is():
    spec = narrow()
    body = in_dialect("timm", spec, lively_state(spec))
    head = layers_in(".", {"auxiliary": (C, 3)})
    found = understand(MemoryReader(body | head, path=Path("memory"), format="memory"), SourceOptions())
    assert found.spec.classifier.num_classes == 5
    assert any("several outputs" in note for note in found.notes)


HEAD = layers_in(".", {"head.0": (C, 7), "head.2": 7, "head.4": (7, 3)})


def test_a_definition_says_what_the_head_is():
    assumed = understood(HEAD).spec
    dense, norm = assumed.classifier.hidden
    hidden = (replace(dense, activation=None), replace(norm, epsilon=0.1), HiddenActivation(activation=Activation.TANH))
    spec = replace(assumed, classifier=replace(assumed.classifier, hidden=hidden, pooling=Pooling.MAX))
    found = understood(HEAD, options=SourceOptions(spec=spec))
    assert found.spec == spec
    assert equal(found.state(), understood(HEAD).state())
    other = replace(spec, classifier=replace(spec.classifier, hidden=hidden[:1]))
    with pytest.raises(NoSmallHead, match="behind the pooling, the file"):
        understood(HEAD, options=SourceOptions(spec=other))


def test_who_says_how_many_classes_the_file_holds_is_taken_at_their_word():
    assert understood(HEAD, options=SourceOptions(num_classes=3)).spec.classifier.num_classes == 3
    with pytest.raises(CheckpointMismatch) as caught:
        understood(HEAD, options=SourceOptions(num_classes=4))
    assert "head.4.weight" in str(caught.value)


def test_it_goes_through_files_with_its_definition(tmp_path):
    found = understood(HEAD)
    state, spec = found.state(), found.spec
    convert_checkpoint(understood(HEAD), tmp_path / "a.safetensors", TargetOptions(sync=False))
    with open_checkpoint(tmp_path / "a.safetensors") as checkpoint:
        assert checkpoint.spec == spec
        assert equal(checkpoint.state(), state)
        assert digest(checkpoint) == digest(found)
        assert diff(checkpoint, found).equal
    changed = understood({**HEAD, "head.2.running_var": HEAD["head.2.running_var"] + 1})
    assert digest(changed) != digest(found)
    assert not diff(changed, found).equal
    with pytest.raises(Unnamed, match="--drop-head"):
        convert_checkpoint(found, tmp_path / "b.pth", TargetOptions(to="timm", sync=False))
    dropped = adapt(understood(HEAD), Adaptation(drop_head=True))
    assert dropped.spec.classifier is None
    assert convert_checkpoint(dropped, tmp_path / "b.pth", TargetOptions(to="timm", sync=False)).tensors > 0


def test_saved_with_its_definition_nothing_is_looked_for(tmp_path):
    spec = narrow()
    save_state(tmp_path / "a.safetensors", spec, lively_state(spec), sync=False)
    with open_checkpoint(tmp_path / "a.safetensors") as found:
        assert found.spec == spec
        assert not any("head" in note for note in found.notes)
