"""Official training checkpoints: the names, shapes and slots of one that the official code wrote, there and back."""

import json
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from converters import (
    Ema,
    OutputError,
    SourceOptions,
    UnsupportedFile,
    open_checkpoint,
    read_training_checkpoint,
    save_state,
    write_training_checkpoint,
)
from effnet.choices import Backend
from effnet.frameworks import import_frameworks
from effnet_core import TRAINING_RECIPES, CheckpointMismatch, Slot, TrainingState, constant_rate, parameters
from tests import oracle
from tests.heads import short
from tests.lively import images, lively_state

FOLDER = oracle.FOLDER / "train-v1"
SHAPES = {name: tuple(shape) for name, shape in json.loads((FOLDER / "tensors.json").read_text()).items()}
SPEC = short()


def state_of(spec=SPEC, **changes):
    variables, averages = lively_state(spec, seed=1), lively_state(spec, seed=2)
    trained = [item.name for item in parameters(spec) if item.trainable]
    slots = {
        slot: {name: lively_state(spec, seed=seed)[name] for name in trained}
        for seed, slot in ((3, Slot.MEAN_SQUARE), (4, Slot.MOMENTUM))
    }
    return replace(TrainingState(step=7, variables=variables, averages=averages, slots=slots), **changes)


def same(a, b):
    assert a.step == b.step
    groups = [(a.variables, b.variables), (a.averages or {}, b.averages or {})]
    assert set(a.slots) == set(b.slots)
    groups += [(a.slots[slot], b.slots[slot]) for slot in a.slots]
    return all(set(x) == set(y) and all(np.array_equal(x[name], y[name]) for name in x) for x, y in groups)


def test_what_the_official_code_wrote_is_written_again_bit_for_bit(tmp_path):
    training = read_training_checkpoint(FOLDER)
    assert training.state.step == 3
    assert training.spec.blocks == oracle.load("train-v1", ema=False).spec.blocks
    mean_square = training.state.slots[Slot.MEAN_SQUARE]["stem.conv.kernel"]
    assert 0.5 < mean_square.min() < 1  # it started at one, and three steps took a tenth of it each
    write_training_checkpoint(tmp_path / "model.ckpt-3", training.spec, training.state)
    tensorflow = import_module("tensorflow")
    ours = tensorflow.train.load_checkpoint(str(tmp_path / "model.ckpt-3"))
    theirs = tensorflow.train.load_checkpoint(str(FOLDER / "model.ckpt-3"))
    assert {name: tuple(shape) for name, shape in ours.get_variable_to_shape_map().items()} == SHAPES
    assert ours.get_variable_to_dtype_map() == theirs.get_variable_to_dtype_map()
    assert [name for name in SHAPES if not np.array_equal(ours.get_tensor(name), theirs.get_tensor(name))] == []
    assert ours.get_tensor("global_step").dtype == np.int64
    # The data file is equal too: tensors in the order of their names, nothing between.
    data = "model.ckpt-3.data-00000-of-00001"
    assert (tmp_path / data).read_bytes() == (FOLDER / data).read_bytes()


def test_the_variables_and_their_averages_are_told_apart(tmp_path):
    write_training_checkpoint(tmp_path / "model.ckpt-7", SPEC, state_of())
    for ema, wanted in ((Ema.NEVER, state_of().variables), (Ema.ALWAYS, state_of().averages)):
        with open_checkpoint(tmp_path / "model.ckpt-7", SourceOptions(ema=ema)) as checkpoint:
            found = checkpoint.state()
            assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("averages", [True, False])
@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd"])
def test_a_state_survives_the_file(tmp_path, averages, optimizer):
    state = state_of() if averages else state_of(averages=None)
    if optimizer == "sgd":
        state = replace(state, slots={Slot.ACCUMULATED: state.slots[Slot.MOMENTUM]})
    write_training_checkpoint(tmp_path / "model.ckpt-7", SPEC, state)
    found = read_training_checkpoint(tmp_path / "model.ckpt-7")
    assert found.spec == SPEC
    assert same(found.state, state)
    other = replace(state, slots={slot: state_of().variables for slot in state.slots})
    assert not same(found.state, other)


@pytest.mark.parametrize("backends", [("effnet_torch", "effnet_tf"), ("effnet_tf", "effnet_torch")])
def test_a_training_goes_on_in_the_other_framework(tmp_path, backends):
    import_frameworks(Backend)
    start = lively_state(SPEC)
    first, second = (trainer(backend, start) for backend in backends)
    step(backends[0], first)
    write_training_checkpoint(tmp_path / "model.ckpt-1", SPEC, first.state())
    second.load(read_training_checkpoint(tmp_path / "model.ckpt-1").state)
    assert same(second.state(), first.state())
    step(backends[0], first)
    step(backends[1], second)
    assert second.state().step == 2
    for name, array in first.state().variables.items():
        assert np.abs(second.state().variables[name] - array).max() <= 2e-5 * np.abs(array).max(), name
    # The control: momentum and mean square that are not carried on would show.
    fresh = trainer(backends[0], read_training_checkpoint(tmp_path / "model.ckpt-1").state.variables)
    step(backends[0], fresh)
    kernels = [each.state().variables["classifier.kernel"] for each in (fresh, first)]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3 * np.abs(kernels[1]).max()


def trainer(backend: str, state: Any) -> Any:
    package = import_module(backend)
    model = package.create_model(SPEC, state, dropout_rate=0.0, drop_connect_rate=0.0, **_OPTIONS[backend])
    recipe = TRAINING_RECIPES["v1"]
    return package.Trainer(model, SPEC, recipe, learning_rate=constant_rate(0.1), **_EAGER[backend])


_OPTIONS: dict[str, dict[str, Any]] = {"effnet_torch": {"running_variance": "biased"}, "effnet_tf": {}}
_EAGER: dict[str, dict[str, Any]] = {"effnet_torch": {}, "effnet_tf": {"run_eagerly": True}}


def step(backend: str, made: Any) -> None:
    x, labels = images(4, 32, 48), np.arange(4)
    if backend == "effnet_torch":
        torch = import_module("torch")
        made.step(torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(labels))
    else:
        made.step(x, labels)


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (state_of(slots={}), OutputError, "none; expected those of the recipe's RMSProp"),
        (state_of(slots={Slot.MOMENTUM: state_of().slots[Slot.MOMENTUM]}), OutputError, "momentum; expected"),
        (state_of(averages={}), CheckpointMismatch, "moving averages"),
        (
            state_of(variables={name: array.astype(np.float64) for name, array in state_of().variables.items()}),
            OutputError,
            "float64; the official code restores float32",
        ),
    ],
    ids=["no slots", "one slot", "averages", "float64"],
)
def test_a_state_that_the_official_code_cannot_restore_is_not_written(tmp_path, state, error, message):
    with pytest.raises(error, match=message):
        write_training_checkpoint(tmp_path / "model.ckpt", SPEC, state)
    assert list(tmp_path.iterdir()) == []


def test_files_without_a_training_are_refused(tmp_path):
    save_state(tmp_path / "model.ckpt", SPEC, lively_state(SPEC))
    with pytest.raises(UnsupportedFile, match="load_network"):
        read_training_checkpoint(tmp_path / "model.ckpt")
    save_state(tmp_path / "model.npz", SPEC, lively_state(SPEC))
    with pytest.raises(UnsupportedFile, match="names of"):
        read_training_checkpoint(tmp_path / "model.npz")
