"""What folding makes of definitions and states, and that folded checkpoints are written, recognised and refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters import (
    Adaptation,
    CannotFold,
    convert,
    fold,
    open_checkpoint,
    save_state,
)
from converters.dialects import WRITTEN_DIALECTS
from converters.names.naming import Unnamed
from effnet_core import (
    CheckpointMismatch,
    HiddenDense,
    HiddenNorm,
    InvalidOption,
    InvalidSpec,
    Norm,
    Role,
    counts,
    from_json,
    layers,
    parameters,
    resolve,
    to_json,
)
from tests.heads import narrow, short, with_hidden
from tests.lively import lively_state

FAMILIES = ("b0", "lite0", "edgetpu-S", "condconv-b0-4e", "v2-b0")
OWN = ("native", "effnet-torch", "effnet-keras")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_folded_definition_has_biases_and_no_norms(name: str) -> None:
    spec = resolve(name, width=0.25)
    state = lively_state(spec)
    folded, weights = fold(spec, state)
    assert folded.norm is None
    assert tuple(weights) == tuple(parameter.name for parameter in parameters(folded))
    assert {parameter.name: parameter.shape for parameter in parameters(folded)} == {
        name: array.shape for name, array in weights.items()
    }
    assert {array.dtype.name for array in weights.values()} == {"float32"}
    assert not any(parameter.role in (Role.GAMMA, Role.MEAN) for parameter in parameters(folded))
    assert not any(".norm" in layer.name for layer in layers(folded))
    assert from_json(to_json(folded)) == folded
    found, before = counts(folded), counts(spec)
    assert (found.trainable, found.statistics) == (sum(array.size for array in weights.values()), 0)
    # Of gamma, beta, mean and variance one number is left.
    assert before.trainable - found.trainable == before.statistics // 2
    assert found.multiply_adds == before.multiply_adds
    assert fold(folded, weights)[0] == folded


def test_the_state_of_the_caller_stays_as_it_is() -> None:
    spec = narrow()
    state = lively_state(spec)
    before = {name: array.tobytes() for name, array in state.items()}
    _, weights = fold(spec, state, dtype="float64")
    for array in weights.values():
        np.add(array, 1, out=array)
    assert {name: array.tobytes() for name, array in state.items()} == before
    assert {array.dtype.name for array in weights.values()} == {"float64"}


def test_one_channel_is_what_the_formula_says() -> None:
    spec = narrow("condconv-b0-4e")
    state = {name: array.astype(np.float64) for name, array in lively_state(spec).items()}
    _, weights = fold(spec, state, dtype="float64")
    index = next(index for index, block in enumerate(spec.blocks) if type(block).__name__ == "CondMBConv")
    for path, experts in (("stem", False), (f"blocks.{index}.depthwise", True), (f"blocks.{index}.project", True)):
        gamma, beta, mean, variance = (
            state[f"{path}.norm.{leaf}"][1] for leaf in ("gamma", "beta", "mean", "variance")
        )
        scale = gamma / (variance + 1e-3) ** 0.5
        channels = len(state[f"{path}.norm.gamma"])
        before, after = (values[f"{path}.conv.kernel"].reshape(-1, channels)[:, 1] for values in (state, weights))
        assert len(before) > (4 if experts else 1)
        assert after == pytest.approx(before * scale, rel=1e-14)
        assert weights[f"{path}.conv.bias"][1] == pytest.approx(beta - mean * scale, rel=1e-13)


def test_hidden_norms_are_folded_or_kept() -> None:
    spec = with_hidden(short())
    folded, weights = fold(spec, lively_state(spec))
    assert folded.classifier is not None
    kinds = [type(layer).__name__ for layer in folded.classifier.hidden]
    # The norm behind the activation of the first dense layer has a dropout behind it; the last one had a dense layer
    # without activation and bias in front.
    assert kinds == ["HiddenDense", "HiddenNorm", "HiddenDropout", "HiddenDense", "HiddenActivation"]
    last = folded.classifier.hidden[3]
    assert isinstance(last, HiddenDense)
    assert last.has_bias
    assert weights["hidden.3.bias"].shape == (7,)
    from converters.changes.folding import plan_folding  # noqa: PLC0415  # of this test alone

    notes = plan_folding(spec).notes
    assert len(notes) == 2
    assert "hidden.1 of the head stays" in notes[1]


def test_norms_before_dense_layers_are_carried_into_them() -> None:
    spec = short()
    assert spec.classifier is not None
    channels = spec.classifier.in_channels
    norms = (
        HiddenNorm(channels=channels, epsilon=2e-3, decay=0.9),
        HiddenNorm(channels=channels, epsilon=1e-3, decay=0.9),
    )
    spec = replace(spec, classifier=replace(spec.classifier, hidden=norms, dropout_rate=0.0))
    state = {name: array.astype(np.float64) for name, array in lively_state(spec).items()}
    folded, weights = fold(spec, state, dtype="float64")
    assert folded.classifier is not None
    assert folded.classifier.hidden == ()
    x = np.random.default_rng(1).standard_normal((3, channels))
    expected = x
    for index, norm in enumerate(norms):
        gamma, beta, mean, variance = (
            state[f"hidden.{index}.{leaf}"] for leaf in ("gamma", "beta", "mean", "variance")
        )
        expected = (expected - mean) / np.sqrt(variance + norm.epsilon) * gamma + beta
    expected = expected @ state["classifier.kernel"] + state["classifier.bias"]
    found = x @ weights["classifier.kernel"] + weights["classifier.bias"]
    assert np.abs(found - expected).max() < 1e-12
    # A dropout between them drops other values than it would behind the folded layer: kept.
    dropping = replace(spec, classifier=replace(spec.classifier, dropout_rate=0.2))
    assert len(fold(dropping, state)[0].classifier.hidden) == 2


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("target", ["x.safetensors", "x.weights.h5"])
def test_folded_checkpoints_are_written_and_recognised(tmp_path: Path, name: str, target: str) -> None:
    spec = resolve(name, width=0.25, num_classes=7)
    state = lively_state(spec)
    save_state(tmp_path / "before.npz", spec, state)
    report = convert(tmp_path / "before.npz", tmp_path / target, adaptation=Adaptation(fold=True))
    assert any("folded into the convolutions" in note for note in report.notes)
    folded, weights = fold(spec, state)
    with open_checkpoint(tmp_path / target) as checkpoint:
        assert checkpoint.spec == folded
        found = checkpoint.state()
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in weights.items()
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_folded_networks_are_recognised_without_a_definition(tmp_path: Path, name: str) -> None:
    spec = resolve(name, width=0.25, num_classes=7)
    folded, weights = fold(spec, lively_state(spec))
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    from effnet_torch import create_model  # noqa: PLC0415  # as above: not needed for the other tests

    torch.save(create_model(folded, weights).state_dict(), tmp_path / "plain.pth")
    with open_checkpoint(tmp_path / "plain.pth") as checkpoint:
        found = checkpoint.spec
        assert parameters(found) == parameters(folded)
        assert found.norm is None
        assert checkpoint.dialect.name == "effnet-torch"


@pytest.mark.parametrize("dialect", [name for name in WRITTEN_DIALECTS if name not in OWN])
def test_the_names_of_others_are_refused(tmp_path: Path, dialect: str) -> None:
    spec, weights = fold(resolve("b0", width=0.25), lively_state(resolve("b0", width=0.25)))
    with pytest.raises(Unnamed, match="no networks without batch normalisation"):
        save_state(tmp_path / "x.npz", spec, weights, to=dialect)
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_refused() -> None:
    spec = narrow()
    state = lively_state(spec)
    variance = state["stem.norm.variance"].copy()
    variance[0] = -1e-3
    with pytest.raises(CannotFold, match=r"stem\.norm cannot be folded: of \d+ running variances, 1 are not above"):
        fold(spec, {**state, "stem.norm.variance": variance})
    with pytest.raises(CannotFold):
        fold(spec, {**state, "stem.norm.variance": np.full_like(state["stem.norm.variance"], np.nan)})
    with pytest.raises(CheckpointMismatch, match=r"stem\.norm\.beta"):
        fold(spec, {name: array for name, array in state.items() if name != "stem.norm.beta"})
    with pytest.raises(InvalidOption, match="float32, float64"):
        fold(spec, state, dtype="float16")
    with pytest.raises(InvalidSpec, match="decay in"):
        replace(spec, norm=Norm(epsilon=-1.0, decay=0.9))
