"""Training checkpoints that keep moving averages beside the weights: files that PyTorch writes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import effnet_torch
from converters import Ema, EmaUnavailable, SourceOptions, digest, open_checkpoint
from converters.averages.stored import WORDS, find_averages
from converters.formats import open_reader
from effnet import convert, inspect
from effnet.inspection import Inspection
from effnet_core import EffnetError, resolve
from tests.converters.memory import equal
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, depth=0.1, num_classes=7)
STATE, OTHER = lively_state(SPEC), lively_state(SPEC, seed=1)
Dict = dict[str, Any]


def module(state: dict[str, np.ndarray]) -> torch.nn.Module:
    return effnet_torch.create_model(SPEC, state)


def averaged(state: dict[str, np.ndarray]) -> Dict:
    """What torch's own class for averages saves: `n_averaged`, and everything else behind `module.`."""
    return torch.optim.swa_utils.AveragedModel(module(state)).state_dict()


def optimiser() -> Dict:
    """What AdamW keeps after one step: three tensors for each weight."""
    model = module(STATE)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    adam = torch.optim.AdamW(model.parameters())
    adam.step()
    return adam.state_dict()


def behind(prefix: str, state: Dict) -> Dict:
    return {prefix + name: tensor for name, tensor in state.items()}


RAW, EMA = module(STATE).state_dict(), module(OTHER).state_dict()
PAIRS: dict[str, Dict] = {
    "timm": {"epoch": 3, "arch": "b0", "state_dict": RAW, "optimizer": optimiser(), "state_dict_ema": EMA},
    "timm, data parallel": {"state_dict": behind("module.", RAW), "state_dict_ema": EMA},
    "torchvision": {"model": RAW, "optimizer": optimiser(), "model_ema": averaged(OTHER), "epoch": 3},
    "at the top": RAW | {"ema": EMA},
    "in a class for averages": {"model": RAW, "ema": {"decay": 0.9, "num_updates": 3, "shadow": EMA}},
    "a shadow": {"model": RAW, "shadow": EMA},
}
FLAT: dict[str, Dict] = {
    "a module with an average": behind("model.", RAW) | behind("model_ema.", EMA),
    "of torch's class": RAW | behind("ema.", averaged(OTHER)),
    "without prefix": RAW | behind("state_dict_ema.", EMA),
}


def taken(path: Path, ema: Ema) -> tuple[dict[str, np.ndarray], bool, str]:
    with open_checkpoint(path, SourceOptions(ema=ema, spec=SPEC)) as checkpoint:
        return checkpoint.state(), checkpoint.uses_ema, checkpoint.notes[-1]


@pytest.mark.parametrize("case", PAIRS)
def test_the_policy_chooses_among_state_dicts(case: str, tmp_path: Path) -> None:
    torch.save(PAIRS[case], tmp_path / "x.pth")
    _check_policy(tmp_path / "x.pth")


@pytest.mark.parametrize("case", FLAT)
def test_the_policy_chooses_among_names(case: str, tmp_path: Path) -> None:
    copies = {name: tensor.clone() for name, tensor in FLAT[case].items()}
    safetensors.torch.save_file(copies, tmp_path / "x.safetensors")
    _check_policy(tmp_path / "x.safetensors")


def _check_policy(path: Path) -> None:
    for ema, state, uses in ((Ema.AUTO, OTHER, True), (Ema.ALWAYS, OTHER, True), (Ema.NEVER, STATE, False)):
        found, uses_ema, note = taken(path, ema)
        assert equal(found, state)
        assert uses_ema is uses
        assert ("Took the moving averages" in note) is uses
    report = inspect(path, options=SourceOptions(spec=SPEC))
    assert (report.has_ema, report.uses_ema) == (True, True)
    never = inspect(path, options=SourceOptions(spec=SPEC, ema=Ema.NEVER))
    assert (never.has_ema, never.uses_ema) == (True, False)
    _check_left_out(report, left="the variable itself; its moving average was taken")
    _check_left_out(never, left="the moving average; not taken")
    assert {tensor.name for tensor in report.tensors} == {tensor.name for tensor in never.tensors}


def _check_left_out(report: Inspection, *, left: str) -> None:
    """Every tensor of the file is either of the network or left out, each once, with the reason of its kind."""
    counts = {kind.reason: kind.count for kind in report.left_out}
    counters = sum(name.endswith("num_batches_tracked") for name in (*RAW, *EMA))
    assert counts.pop(left) == len(STATE)
    assert counts.pop("a training counter of torch's norms") == counters
    assert counts.pop("a counter of the averaging", 1) == 1
    if "optimizer" in report.skipped:
        slots = 3 * sum(parameter.requires_grad for parameter in module(STATE).parameters())
        assert counts.pop(f"of an optimiser, {slots} tensors") == 1
    assert all(reason.startswith("no tensor: ") for reason in counts)
    network = [tensor for tensor in report.tensors if tensor.canonical is not None]
    assert len(network) == len(STATE)
    assert sum(kind.count for kind in report.left_out) == len(report.tensors) - len(network) + len(report.skipped)
    assert all((tensor.canonical is None) is (tensor.ignored is not None) for tensor in report.tensors)
    for kind in report.left_out:
        reasons = {tensor.name: tensor.ignored for tensor in report.tensors} | dict(report.skipped)
        assert {reasons[name] for name in kind.examples} == {kind.reason}


def test_slots_beside_the_weights_are_named_as_such(tmp_path: Path) -> None:
    """Names alone, in a file without structure; a tensor of nobody beside them is none of theirs."""
    slots = {f"optimizer.state.{name}.exp_avg": tensor.clone() for name, tensor in RAW.items() if tensor.ndim == 4}
    others = {"optimizer.step": torch.tensor(3), "blocks_averages.momentum_buffer": torch.ones(3)}
    safetensors.torch.save_file(RAW | slots | others | {"stranger.weight": torch.ones(3)}, tmp_path / "x.safetensors")
    report = convert(tmp_path / "x.safetensors", tmp_path / "y.pth", sync=False)
    kinds = {kind.reason: kind for kind in report.left_out}
    assert kinds["of an optimiser"].count == len(slots) + len(others)
    nobodys = kinds["no part of the network"]
    assert (nobodys.count, nobodys.examples) == (1, ("stranger.weight",))
    counters = sum(name.endswith("num_batches_tracked") for name in RAW)
    assert kinds["a training counter of torch's norms"].count == counters
    assert sum(kind.count for kind in report.left_out) == len(slots) + len(others) + 1 + counters


@pytest.mark.parametrize(
    "checkpoint", [{"state_dict_ema": EMA}, averaged(OTHER), {"model_ema": averaged(OTHER), "epoch": 1}]
)
def test_a_file_of_averages_alone(checkpoint: Dict, tmp_path: Path) -> None:
    torch.save(checkpoint, tmp_path / "x.pth")
    for ema in (Ema.AUTO, Ema.ALWAYS):
        found, uses_ema, _ = taken(tmp_path / "x.pth", ema)
        assert equal(found, OTHER)
        assert uses_ema
    with pytest.raises(EmaUnavailable, match="none of the variables themselves"):
        taken(tmp_path / "x.pth", Ema.NEVER)


@pytest.mark.parametrize("wrong", ["absent", "another shape"])
def test_half_a_set_of_averages_is_not_taken(wrong: str, tmp_path: Path) -> None:
    name = "blocks.1.project.norm.weight"
    part = {key: tensor for key, tensor in EMA.items() if key != name}
    if wrong == "another shape":
        part[name] = torch.ones(3)
    torch.save({"state_dict": RAW, "state_dict_ema": part}, tmp_path / "x.pth")
    found, uses_ema, note = taken(tmp_path / "x.pth", Ema.AUTO)
    assert equal(found, STATE)
    assert not uses_ema
    # Counters of norms are no variables, whether they have averages or not.
    assert f"without a moving average, 1 of {len(STATE)}, such as {name}" in note
    assert len(RAW) > len(STATE)
    with pytest.raises(EmaUnavailable, match=f"each of the {len(STATE)} .* shape: 1 of {len(STATE)}, such as {name}"):
        taken(tmp_path / "x.pth", Ema.ALWAYS)


def test_averages_under_other_names_than_the_weights_are_not_mistaken_for_them(tmp_path: Path) -> None:
    """Most names are those of the weights: without a word on which is meant, neither is taken for the other."""
    renamed = {f"a.{index}.{name}": tensor for index, (name, tensor) in enumerate(EMA.items())}
    copies = {name: tensor.clone() for name, tensor in (behind("params.", RAW) | behind("ema.", renamed)).items()}
    safetensors.torch.save_file(copies, tmp_path / "x.safetensors")
    for ema in (Ema.AUTO, Ema.ALWAYS):
        with pytest.raises(EmaUnavailable, match=r"such as ema\.a\.0\..*under other names than .*--prefix"):
            taken(tmp_path / "x.safetensors", ema)
    with open_checkpoint(tmp_path / "x.safetensors", SourceOptions(spec=SPEC, prefix="params.")) as checkpoint:
        assert equal(checkpoint.state(), STATE)


def test_averages_without_counters_are_complete(tmp_path: Path) -> None:
    part = {key: tensor for key, tensor in EMA.items() if not key.endswith("num_batches_tracked")}
    torch.save({"state_dict": RAW, "state_dict_ema": part}, tmp_path / "x.pth")
    assert equal(taken(tmp_path / "x.pth", Ema.AUTO)[0], OTHER)


def test_files_without_averages_are_as_before(tmp_path: Path) -> None:
    torch.save({"state_dict": RAW, "ema_decay": 0.999, "ema": None}, tmp_path / "x.pth")
    with open_checkpoint(tmp_path / "x.pth", SourceOptions(spec=SPEC)) as checkpoint:
        assert (checkpoint.has_averages, checkpoint.uses_ema) == (False, False)
    with pytest.raises(EmaUnavailable, match="no moving averages"):
        taken(tmp_path / "x.pth", Ema.ALWAYS)


def test_lightning(tmp_path: Path) -> None:
    """The layout that its documentation gives: hyper-parameters, loops and callbacks beside `state_dict`."""
    torch.save(
        {
            "epoch": 3,
            "global_step": 1200,
            "pytorch-lightning_version": "2.5.0",
            "state_dict": behind("model.", RAW),
            "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
            "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.5)}},
            "optimizer_states": [optimiser()],
            "lr_schedulers": [],
            "hparams_name": "kwargs",
            "hyper_parameters": {"lr": 1e-3, "name": "b0"},
        },
        tmp_path / "x.ckpt",
    )
    with open_reader(tmp_path / "x.ckpt") as reader:
        assert list(reader.tensors) == list(behind("model.", RAW))
        assert {"optimizer_states", "hyper_parameters", "callbacks", "loops", "epoch"} <= reader.skipped.keys()
    assert equal(taken(tmp_path / "x.ckpt", Ema.AUTO)[0], STATE)


def test_a_prefix_says_which_set_is_meant(tmp_path: Path) -> None:
    copies = {name: tensor.clone() for name, tensor in FLAT["a module with an average"].items()}
    safetensors.torch.save_file(copies, tmp_path / "x.safetensors")
    for prefix, state in (("model.", STATE), ("model_ema.", OTHER)):
        options = SourceOptions(spec=SPEC, prefix=prefix)
        with open_checkpoint(tmp_path / "x.safetensors", options) as checkpoint:
            assert equal(checkpoint.state(), state)


def test_the_digest_is_that_of_the_set_that_was_taken(tmp_path: Path) -> None:
    torch.save(PAIRS["timm"], tmp_path / "x.pth")
    torch.save(EMA, tmp_path / "ema.pth")
    digests: list[str] = []
    for name, ema in (("x", Ema.AUTO), ("ema", Ema.AUTO), ("x", Ema.NEVER)):
        with open_checkpoint(tmp_path / f"{name}.pth", SourceOptions(spec=SPEC, ema=ema)) as checkpoint:
            digests.append(digest(checkpoint).value)
    assert digests[0] == digests[1] != digests[2]


def parameters(ema: Ema, path: Path) -> tuple[bool, bool]:
    """Whether the weights are read, and whether as averages."""
    state, uses_ema, note = taken(path, ema)
    assert "without a moving average" in note
    return equal(state, STATE), uses_ema


@pytest.mark.parametrize("place", ["flat", "shadow", "nested"])
def test_averages_without_moving_statistics_are_treated_alike_wherever_they_are(place: str, tmp_path: Path) -> None:
    averages = dict(module(OTHER).named_parameters())
    held = {"flat": {"ema": averages}, "shadow": {"shadow": averages}, "nested": {"ema": {"shadow": averages}}}[place]
    torch.save({"model": RAW, **held}, tmp_path / "x.pth")
    assert parameters(Ema.AUTO, tmp_path / "x.pth") == (True, False)
    with pytest.raises(EmaUnavailable, match="a moving average of each"):
        parameters(Ema.ALWAYS, tmp_path / "x.pth")


@pytest.mark.parametrize("key", ["ema", "shadow_params"])
def test_averages_that_are_not_read_are_named(key: str, tmp_path: Path) -> None:
    """As torch_ema keeps them: a list, in which no name tells whose average each is."""
    averages = list(module(OTHER).parameters())
    held = {"decay": 0.9, "num_updates": 3, "shadow_params": averages} if key == "ema" else averages
    torch.save({"model": RAW, key: held}, tmp_path / "x.pth")
    report = inspect(tmp_path / "x.pth", options=SourceOptions(spec=SPEC))
    assert report.skipped[key].startswith("what looks like moving averages and is not read: ")
    assert "in lists that do not name them" in report.skipped[key]
    state, uses_ema, note = taken(tmp_path / "x.pth", Ema.AUTO)
    assert (equal(state, STATE), uses_ema) == (True, False)
    assert f"What is under '{key}' looks like moving averages" in note
    with pytest.raises(EmaUnavailable, match=f"'{key}' looks like moving averages and is not read"):
        taken(tmp_path / "x.pth", Ema.ALWAYS)
    torch.save({"model": RAW, "epoch": [1.0]}, tmp_path / "x.pth")  # the control: a file without averages
    with pytest.raises(EmaUnavailable, match="holds no moving averages"):
        taken(tmp_path / "x.pth", Ema.ALWAYS)


# Names alone


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("place", ["", "model.", "module.net."])
def test_pairs_are_found_by_names(word: str, wrapper: str, place: str) -> None:
    inner = ["conv_stem.weight", "classifier.weight", "classifier.bias"]
    names = [place + name for name in inner] + [f"{word}.{wrapper}{name}" for name in inner] + [f"{word}.n_averaged"]
    found = find_averages(names)
    assert found is not None
    assert found.by_variable == {place + name: f"{word}.{wrapper}{name}" for name in inner}
    assert set(inner) == {name.removeprefix(place) for name in found.raw}
    assert found.counters == (f"{word}.n_averaged",)


@pytest.mark.parametrize(
    "names", [[], ["a", "b.ema.c"], ["emanate.x", "x"], ["ema"], ["n_averaged"], ["ema.decay", "x"]]
)
def test_names_without_averages(names: list[str]) -> None:
    assert find_averages(names) is None


@pytest.mark.parametrize("seed", range(100))
def test_any_mixture_of_names_is_an_error_or_one_whole_set(seed: int, tmp_path: Path) -> None:
    """Tensors renamed, dropped and added at random: an error of the project, or one set, but for what was renamed."""
    chance = random.Random(seed)
    both = {name: tensor.clone() for name, tensor in FLAT["without prefix"].items()}
    edits: list[Callable[[str], str | None]] = [
        lambda name: None,
        lambda name: f"ema.{name}",
        lambda name: f"module.{name}",
        lambda name: name.removeprefix("state_dict_ema."),
        lambda name: f"{name}.n_averaged",
    ]
    edited = chance.sample(list(both), chance.randrange(4))
    for name in edited:
        tensor = both.pop(name)
        new = chance.choice(edits)(name)
        if new is not None:
            both[new] = tensor
    if chance.random() < 0.3:
        both["n_averaged"] = torch.tensor(3)
    safetensors.torch.save_file(both, tmp_path / "x.safetensors")
    try:
        found, uses_ema, _ = taken(tmp_path / "x.safetensors", chance.choice(list(Ema)))
    except EffnetError:
        return
    expected = OTHER if uses_ema else STATE
    assert sum(not np.array_equal(array, expected[name]) for name, array in found.items()) <= len(edited)
