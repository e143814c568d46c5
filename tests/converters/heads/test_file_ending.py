"""Files of networks with hidden layers, without classifier, without head."""

from contextlib import suppress

import numpy as np
import pytest

from converters import DIALECTS, SourceOptions, convert, open_checkpoint, save_state
from converters.names.naming import Unnamed, table
from effnet_core import CheckpointMismatch, endpoints, without_classifier, without_head
from tests.converters.memory import equal, in_dialect, opened
from tests.heads import narrow, with_hidden
from tests.lively import lively_state

SPEC = narrow("v2-b0", num_classes=10)
HIDDEN = with_hidden(narrow())
NAMING_HIDDEN = [name for name, dialect in DIALECTS.items() if "hidden" in dialect.layers]


def named(dialect):
    """A network that the dialect has names for."""
    for spec in (SPEC, narrow(num_classes=10)):
        with suppress(Unnamed):
            table(DIALECTS[dialect], spec, scope="")
            return spec
    raise AssertionError(dialect)


NAMED = {dialect: named(dialect) for dialect in DIALECTS}


@pytest.mark.parametrize("dialect", NAMED)
@pytest.mark.parametrize("cut", [without_classifier, without_head])
def test_a_file_that_ends_earlier_is_a_network_that_ends_earlier(dialect, cut):
    spec = cut(NAMED[dialect])
    found = opened(in_dialect(dialect, spec, lively_state(spec)), SourceOptions(dialect=dialect))
    assert (found.spec.head, found.spec.classifier) == (spec.head, spec.classifier)
    assert endpoints(found.spec) == endpoints(spec)
    assert equal(found.state(), lively_state(spec))
    what = "no classifier" if cut is without_classifier else "no head and no classifier"
    assert any(f"The file holds {what}: the network gives features, averaged over" in note for note in found.notes)
    assert not any("gives features" in note for note in opened(whole(dialect), SourceOptions(dialect=dialect)).notes)


def whole(dialect):
    return in_dialect(dialect, NAMED[dialect], lively_state(NAMED[dialect]))


@pytest.mark.parametrize(
    "gone",
    [
        {"classifier.bias", "head.norm.mean"},
        {"classifier.kernel"},
        {"head.norm.mean"},
        {"head.conv.kernel", "head.norm.gamma", "head.norm.beta", "head.norm.mean", "head.norm.variance"},
        {"classifier.kernel", "classifier.bias", "head.norm.beta"},
        {"classifier.kernel", "classifier.bias", "blocks.2.project.norm.mean"},
    ],
)
def test_a_file_that_lacks_anything_else_is_a_mismatch(gone):
    arrays = {name: array for name, array in whole("native").items() if name not in gone}
    with pytest.raises(CheckpointMismatch) as caught:
        opened(arrays)
    missing = set(caught.value.missing)
    assert missing
    assert missing <= gone


def test_who_names_classes_expects_a_classifier():
    arrays = in_dialect("native", without_classifier(SPEC), lively_state(without_classifier(SPEC)))
    with pytest.raises(CheckpointMismatch) as caught:
        opened(arrays, SourceOptions(num_classes=10))
    assert caught.value.missing == ("classifier.kernel", "classifier.bias")


@pytest.mark.parametrize("dialect", sorted({*DIALECTS} - {*NAMING_HIDDEN}))
def test_dialects_without_names_for_hidden_layers_say_the_way_out(dialect):
    spec = with_hidden(NAMED[dialect])
    with pytest.raises(Unnamed, match=rf"no names for hidden\.0 of {spec.name}.*--drop-head"):
        table(DIALECTS[dialect], spec, scope="")


def test_hidden_layers_have_names():
    names = [entry.name for entry in table(DIALECTS["effnet-torch"], HIDDEN, scope="")]
    assert names[-13:-7] == ["hidden.0.weight", "hidden.0.bias", *(f"hidden.1.{leaf}" for leaf in NORM)]
    assert {*NAMING_HIDDEN} >= {"native", "effnet-torch"}


NORM = ("weight", "bias", "running_mean", "running_var")


@pytest.mark.parametrize("dialect", NAMING_HIDDEN)
def test_hidden_layers_go_through_files_bit_for_bit(dialect, tmp_path):
    state = lively_state(HIDDEN)
    save_state(tmp_path / "a.safetensors", HIDDEN, state, to=dialect, sync=False)
    convert(tmp_path / "a.safetensors", tmp_path / "b.npz", sync=False)
    with open_checkpoint(tmp_path / "b.npz") as checkpoint:
        assert checkpoint.spec == HIDDEN
        assert equal(checkpoint.state(), state)


def test_hidden_layers_need_the_definition():
    arrays = in_dialect("effnet-torch", HIDDEN, lively_state(HIDDEN))
    with pytest.raises(CheckpointMismatch, match="do not tell their activations"):
        opened(arrays)
    assert opened(arrays, SourceOptions(spec=HIDDEN)).spec == HIDDEN


def test_a_transposed_hidden_kernel_would_be_seen():
    state = lively_state(HIDDEN)
    arrays = in_dialect("effnet-torch", HIDDEN, state)
    assert np.array_equal(arrays["hidden.3.weight"], state["hidden.3.kernel"].T)
    arrays["hidden.3.weight"] = np.ascontiguousarray(arrays["hidden.3.weight"].T)
    with pytest.raises(CheckpointMismatch, match=r"hidden\.3\.kernel"):
        opened(arrays, SourceOptions(spec=HIDDEN))


def test_an_encoder_inside_another_network_is_found():
    spec = without_head(narrow())
    state = lively_state(spec)
    arrays = {f"model.encoder.{name}": array for name, array in in_dialect("timm", spec, state).items()}
    arrays |= {"decoder.0.weight": np.ones((3, 3), np.float32), "fc.bias": np.ones(4, np.float32)}
    found = opened(arrays)
    assert (found.dialect.name, found.spec.head, found.spec.classifier) == ("timm", None, None)
    assert equal(found.state(), state)
    assert found.ignored["fc.bias"] == "no part of the network"
