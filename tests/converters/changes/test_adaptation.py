"""Networks changed on the way: every tensor that is edited is what the rule says, every other is bit-equal."""

from dataclasses import replace
from math import ceil

import ml_dtypes
import numpy as np
import pytest

from converters import Adaptation, SourceOptions, adapt, convert, open_checkpoint, save_state, state_checkpoint
from effnet_core import (
    InvalidOption,
    InvalidSpec,
    ending,
    with_classes,
    with_in_channels,
    without_classifier,
    without_head,
)
from tests.converters.memory import equal, in_dialect, opened
from tests.heads import narrow, with_hidden
from tests.lively import lively_state

SPEC = narrow(num_classes=10)
STATE = lively_state(SPEC)
STEM = "stem.conv.kernel"
HEAD = ("classifier.kernel", "classifier.bias")


def adapted(spec=SPEC, state=STATE, dialect="effnet-torch", **options):
    arrays = in_dialect(dialect, spec, state)
    return adapt(opened(arrays, SourceOptions(spec=spec)), Adaptation(**options))


def rest(state, *names):
    return {name: array for name, array in state.items() if name not in names}


def timm_rule(kernel, in_channels):
    """adapt_input_conv of timm, on HWIO in place of OIHW."""
    if in_channels == 1:
        return kernel[:, :, 0:1] + kernel[:, :, 1:2] + kernel[:, :, 2:3]
    repeated = np.tile(kernel, (1, 1, ceil(in_channels / 3), 1))[:, :, :in_channels]
    return repeated * np.float32(3 / in_channels)


@pytest.mark.parametrize("in_channels", [1, 2, 4, 6, 7])
@pytest.mark.parametrize("dialect", ["native", "effnet-torch", "official"])
def test_the_stem_takes_other_channels_as_in_timm(in_channels, dialect):
    found = adapted(dialect=dialect, in_channels=in_channels)
    state = found.state()
    assert found.spec == with_in_channels(SPEC, in_channels)
    assert np.array_equal(state[STEM], timm_rule(STATE[STEM], in_channels))
    assert equal(rest(state, STEM), rest(STATE, STEM))
    assert f"The stem takes {in_channels} channel{'s' * (in_channels > 1)} instead of 3" in found.notes[-1]


def test_numbers_of_the_stem_by_hand():
    kernel = np.zeros_like(STATE[STEM]) + np.array([1, 2, 4], np.float32)[:, None]
    state = {**STATE, STEM: kernel}
    assert np.all(adapted(state=state, in_channels=1).state()[STEM] == 7)
    four = adapted(state=state, in_channels=4).state()[STEM]
    assert np.array_equal(four[0, 0, :, 0], np.array([0.75, 1.5, 3, 0.75], np.float32))
    assert not np.array_equal(four, timm_rule(kernel[:, :, ::-1], 4))


def test_half_precision_is_summed_in_single():
    state = {name: array.astype(ml_dtypes.bfloat16) for name, array in STATE.items()}
    found = adapted(state=state, in_channels=1).state()[STEM]
    expected = timm_rule(state[STEM].astype(np.float32), 1).astype(ml_dtypes.bfloat16)
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()
    assert found.tobytes() != timm_rule(state[STEM], 1).tobytes()


@pytest.mark.parametrize("dialect", ["native", "effnet-torch"])
def test_the_background_is_cut(dialect):
    spec = replace(SPEC, classifier=replace(SPEC.classifier, label_offset=1))
    found = adapted(spec, dialect=dialect, drop_background=True)
    state = found.state()
    assert (found.spec.classifier.num_classes, found.spec.classifier.label_offset) == (9, 0)
    assert np.array_equal(state["classifier.kernel"], STATE["classifier.kernel"][:, 1:])
    assert np.array_equal(state["classifier.bias"], STATE["classifier.bias"][1:])
    assert equal(rest(state, *HEAD), rest(STATE, *HEAD))


def test_a_background_that_is_not_known_is_not_cut():
    with pytest.raises(InvalidOption, match="label_offset"):
        adapted(drop_background=True)


def test_a_fresh_classifier():
    found = adapted(num_classes=4, seed=3)
    state = found.state()
    assert found.spec == with_classes(SPEC, 4)
    assert equal(rest(state, *HEAD), rest(STATE, *HEAD))
    kernel = state["classifier.kernel"]
    assert (kernel.shape, kernel.dtype) == ((SPEC.head.out_channels, 4), np.float32)
    assert np.abs(kernel).max() <= 0.5  # uniform in 1 / sqrt(classes)
    assert 0.2 < kernel.std() < 0.35
    assert not state["classifier.bias"].any()
    assert "The classifier is new, drawn from seed 3: 10 classes before, 4 classes now." in found.notes[-1]


@pytest.mark.parametrize("dialect", ["native", "effnet-torch", "official"])
def test_the_old_classifier_is_listed_as_left_out(dialect):
    """Whether or not the drawn one has its names."""
    names = in_dialect(dialect, SPEC, STATE).keys()
    found = adapted(dialect=dialect, num_classes=4)
    left = [name for name, reason in found.ignored.items() if reason == "left out on demand"]
    assert len(left) == 2
    assert set(left) == {name for name in names if "classifier" in name or "dense" in name}


def test_a_fresh_classifier_in_the_place_of_one_with_a_background_names_the_other_way():
    spec = narrow("edgetpu-S", num_classes=1001)
    for classes, is_named in ((1000, True), (10, False)):
        found = adapted(spec, lively_state(spec), num_classes=classes)
        assert any("--drop-background" in note for note in found.notes) is is_named


def test_the_seed_alone_decides_what_is_drawn():
    first = adapted(num_classes=4, seed=3).state()
    assert equal(adapted(num_classes=4, seed=3, dialect="official").state(), first)
    other = adapted(num_classes=4, seed=4).state()
    assert not np.array_equal(other["classifier.kernel"], first["classifier.kernel"])
    with pytest.raises(InvalidOption, match="seed is -1"):
        adapted(num_classes=4, seed=-1)


def test_what_is_there_already_stays():
    checkpoint = opened(in_dialect("native", SPEC, STATE))
    assert adapt(checkpoint, Adaptation(num_classes=10, in_channels=3, seed=5)) is checkpoint


def test_a_dropped_head_can_be_drawn_again():
    hidden = with_hidden(SPEC)
    state = lively_state(hidden)
    dropped = adapted(hidden, state, drop_head=True)
    assert dropped.spec == without_classifier(SPEC)
    gone = {name for name in state if name.startswith(("hidden", "classifier"))}
    assert equal(dropped.state(), rest(state, *gone))
    assert len([reason for reason in dropped.ignored.values() if reason == "left out on demand"]) == len(gone)
    again = adapted(hidden, state, drop_head=True, num_classes=10)
    assert again.spec.classifier.hidden == ()
    assert [dropped.notes[-1], again.notes[-1]] == [
        f"The classifier ({ending(hidden)}) is left out: the network gives features.",
        f"The classifier is new, drawn from seed 0: {ending(hidden)} before, 10 classes now. What it gives means "
        "nothing before it is trained.",
    ]
    assert len(again.notes) == len(dropped.notes)
    assert not np.array_equal(again.state()["classifier.kernel"], state["classifier.kernel"][:, :10])
    kept = adapted(hidden, state, num_classes=10).state()
    assert np.array_equal(kept["hidden.0.kernel"], state["hidden.0.kernel"])


def test_a_file_without_classifier_gets_one():
    spec = without_classifier(SPEC)
    found = adapted(spec, lively_state(spec), num_classes=6)
    assert found.spec.classifier.num_classes == 6
    assert found.state()["classifier.kernel"].shape == (SPEC.head.out_channels, 6)


@pytest.mark.parametrize(
    ("spec", "options", "error", "message"),
    [
        (without_head(SPEC), {"num_classes": 5}, InvalidSpec, "no head and no classifier"),
        (SPEC, {"in_channels": 0}, InvalidOption, "input channels is 0"),
        (SPEC, {"num_classes": 0}, InvalidOption, "num_classes=.* is 0; a classifier needs at least 1.*--drop-head"),
        (without_head(SPEC), {"num_classes": -3, "drop_head": True}, InvalidOption, "is -3; a classifier needs at"),
        (with_in_channels(SPEC, 4), {"in_channels": 3}, InvalidOption, "takes 4 channels; expected 3"),
        (SPEC, {"drop_head": True, "drop_background": True}, InvalidOption, "found both"),
    ],
)
def test_impossible_changes(spec, options, error, message):
    with pytest.raises(error, match=message):
        adapted(spec, lively_state(spec), **options)


@pytest.mark.parametrize("num_classes", [0, -1])
def test_a_source_has_no_classifier_of_no_class(num_classes):
    with pytest.raises(InvalidOption, match=rf"num_classes=.* is {num_classes}; a classifier needs at least 1"):
        SourceOptions(num_classes=num_classes)
    assert SourceOptions(num_classes=1).num_classes == 1
    assert adapted(num_classes=1).spec.classifier.num_classes == 1


def test_a_file_is_adapted_on_the_way_and_says_so(tmp_path):
    source, target = tmp_path / "a.pth", tmp_path / "b.safetensors"
    save_state(source, SPEC, STATE, sync=False)
    wanted = Adaptation(num_classes=4, in_channels=1)
    report = convert(source, target, adaptation=wanted, dtype="float16", sync=False)
    assert len(report.notes) == 3
    expected = adapt(state_checkpoint(SPEC, STATE), wanted).state()
    with open_checkpoint(target) as checkpoint:
        assert checkpoint.spec == with_in_channels(with_classes(SPEC, 4), 1)
        assert equal(checkpoint.state(), {name: array.astype(np.float16) for name, array in expected.items()})
    with open_checkpoint(source) as checkpoint:
        assert equal(checkpoint.state(), STATE)
